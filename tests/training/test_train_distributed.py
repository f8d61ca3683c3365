"""Training on several processes, some of which die, and on several hosts."""

import contextlib
import subprocess

import pytest
import torch
from helpers.runs import arguments, assert_same, finish, launch, make_data, train

import utils

LAUNCHERS = {
    "launch": "torch.distributed.launch --nproc_per_node=2 train_vimeo90k.py --world_size 2",
    "torchrun": "torch.distributed.run --nproc_per_node=2 train_vimeo90k.py",
}
#: A trainer to which something happens on process 1; `{before}` runs before every step.
DISTURBED = """
import os, signal
from pathlib import Path
import torch
import train_vimeo90k
import training.trainer
import utils
from training.trainer import Trainer
step, loss_of = Trainer.step, training.trainer.loss_of
def disturbed(trainer, batches):
    at = trainer.position.step
{before}
    return step(trainer, batches)
Trainer.step = disturbed
utils.run_script(train_vimeo90k.main, train_vimeo90k.parse_args())
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data"), validation=3)


def torchrun(script, *flags, options=()):
    return launch("-m", "torch.distributed.run", "--nproc_per_node=2", *options, str(script), *flags)


def write_script(path, before):
    path.write_text(DISTURBED.format(before=before))
    return path


@pytest.mark.parametrize("launcher", ["launch", pytest.param("torchrun", marks=pytest.mark.slow)])
def test_two_processes_train_and_validate_like_one_on_the_same_global_batch(data, tmp_path, launcher):
    """With three validation images for two processes, and without a learning rate, so that means are equal exactly."""
    fixed = ["--epochs", "1", "--lr_start", "0", "--lr_end", "0"]
    alone = train(data, tmp_path / "alone", *fixed, "--batch_size", "4")
    options = arguments(data, tmp_path / "both", *fixed, "--batch_size", "1", "--accumulate", "2")
    finish(launch("-m", *LAUNCHERS[launcher].split(), *options))
    both = utils.load_checkpoint(tmp_path / "both" / "last.pth")
    assert both["position"]["step"] == alone["position"]["step"] == 2
    assert both["best"] == alone["best"]
    for key, slot in alone["optimizer"]["state"].items():  # running means of the gradients
        ours, expected = both["optimizer"]["state"][key]["exp_avg"], slot["exp_avg"]
        # Sums over all pixels that nearly cancel round to 5e-5 of the largest; a lost sample is a tenth and more.
        torch.testing.assert_close(ours, expected, atol=1e-4 * float(expected.abs().max()), rtol=1e-4)


@pytest.mark.slow
def test_compiled_and_accumulating_processes_train_like_plain_ones(data, tmp_path):
    flags = ["--batch_size", "1", "--accumulate", "2", "--epochs", "1"]
    finish(torchrun("train_vimeo90k.py", *arguments(data, tmp_path / "plain", *flags)))
    script = write_script(tmp_path / "script.py", "    pass")
    interpreted = "import functools, torch\ntorch.compile = functools.partial(torch.compile, backend='eager')\n"
    script.write_text(interpreted + script.read_text())
    finish(torchrun(script, *arguments(data, tmp_path / "compiled", *flags, "--compile")))
    compiled, plain = (utils.load_checkpoint(tmp_path / name / "last.pth") for name in ("compiled", "plain"))
    assert compiled["model"].keys() == plain["model"].keys()
    for name, weight in plain["model"].items():
        torch.testing.assert_close(compiled["model"][name], weight, atol=1e-5, rtol=1e-3)


@pytest.mark.slow
def test_two_processes_end_with_the_weights_of_one(data, tmp_path):
    alone = train(data, tmp_path / "alone", "--epochs", "1")["model"]
    options = arguments(data, tmp_path / "both", "--epochs", "1", "--batch_size", "1")
    finish(launch("-m", *LAUNCHERS["torchrun"].split(), *options))
    both = utils.load_checkpoint(tmp_path / "both" / "last.pth")["model"]
    for name, weight in alone.items():
        torch.testing.assert_close(both[name], weight, atol=1e-5, rtol=1e-3)


@pytest.mark.slow
def test_what_happens_to_one_process_is_decided_alike_by_all(data, tmp_path):
    """Process 1 sees a loss that is not a number at step 1, and a SIGTERM at step 2."""
    script = write_script(
        tmp_path / "script.py",
        """
    mine = trainer.process.rank == 1
    def broken(*given):
        loss = loss_of(*given)
        return loss._replace(total=loss.total.detach() * torch.nan + 0 * loss.total) if mine and at == 1 else loss
    trainer.loss_of = broken
    if mine and at == 2:
        os.kill(os.getpid(), signal.SIGTERM)
""",
    )
    printed = finish(torchrun(script, *arguments(data, tmp_path, "--batch_size", "1")), 1)
    assert "stopped by SIGTERM and saved at step 3" in printed
    last = utils.load_checkpoint(tmp_path / "last.pth")
    assert (last["position"]["step"], last["position"]["skipped"]) == (3, 1)


@pytest.mark.slow
def test_a_killed_process_is_restarted_and_the_run_ends_with_the_weights_of_an_undisturbed_one(data, tmp_path):
    flags = ["--batch_size", "1", "--dynamic", "true", "--save_minutes", "0", "--resume", "auto"]
    finish(torchrun("train_vimeo90k.py", *arguments(data, tmp_path / "whole", *flags)))
    script = write_script(
        tmp_path / "script.py",
        f"""
    once = Path({str(tmp_path / "killed")!r})
    if trainer.process.rank == 1 and at == 5 and not once.exists():
        once.touch()
        os.kill(os.getpid(), signal.SIGKILL)
""",
    )
    options = arguments(data, tmp_path / "killed_once", *flags)
    finish(torchrun(script, *options, options=["--max-restarts=1"]))
    assert (tmp_path / "killed").exists()
    ours, whole = (utils.load_checkpoint(tmp_path / name / "last.pth") for name in ("killed_once", "whole"))
    assert_same(ours, whole)


@pytest.fixture
def hosts():
    """Two network namespaces joined by a cable: their names, and the address of each."""
    names, addresses = ["wavelet0", "wavelet1"], ["10.77.0.1", "10.77.0.2"]
    cables = ["wavelet-eth0", "wavelet-eth1"]
    with contextlib.ExitStack() as undo:
        try:
            for name in names:
                ip("netns", "add", name)
                undo.callback(ip, "netns", "delete", name)
            ip("link", "add", cables[0], "type", "veth", "peer", "name", cables[1])
            for name, cable, address in zip(names, cables, addresses, strict=True):
                ip("link", "set", cable, "netns", name)
                ip("-n", name, "addr", "add", f"{address}/24", "dev", cable)
                ip("-n", name, "link", "set", cable, "up")
                ip("-n", name, "link", "set", "lo", "up")
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"network namespaces are not permitted here ({error})")
        yield list(zip(names, cables, addresses, strict=True))


def ip(*command):
    subprocess.run(["ip", *command], check=True, capture_output=True)


@pytest.mark.slow
def test_two_hosts_train_together_and_only_the_first_needs_the_run_s_folder(data, tmp_path, hosts):
    flags = ["--epochs", "1", "--batch_size", "1"]
    processes = []
    for number, (name, cable, address) in enumerate(hosts):
        rendezvous = ["--rdzv_backend=c10d", f"--rdzv_endpoint={hosts[0][2]}:29511", "--rdzv_id=test"]
        command = ["--nnodes=2", "--nproc_per_node=1", f"--local_addr={address}", *rendezvous]
        command += [f"--rdzv_conf=is_host={int(number == 0)}", "train_vimeo90k.py"]
        options = arguments(data, tmp_path / f"host{number}", *flags)
        prefix = ("ip", "netns", "exec", name)
        module = ("-m", "torch.distributed.run")
        processes.append(launch(*module, *command, *options, prefix=prefix, GLOO_SOCKET_IFNAME=cable))
    for process in processes:
        finish(process)
    alone = train(data, tmp_path / "alone", "--epochs", "1")["model"]
    together = utils.load_checkpoint(tmp_path / "host0" / "last.pth")["model"]
    assert not (tmp_path / "host1").exists()
    for name, weight in alone.items():
        torch.testing.assert_close(together[name], weight, atol=1e-5, rtol=1e-3)
