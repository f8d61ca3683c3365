"""Training.

| file | purpose |
|---|---|
| `trainer`, `stages`, `optimizer` | the run and its optimizer steps |
| `options` | the command line |
| `validation`, `checkpoints`, `log` | scoring, saving, logging |
| `plots` | drawings, and the report at the end |
| `privileged` | a teacher whose flow MP-Net can learn |
| `tools`, `surgery` | changes of weights between two runs |
"""
