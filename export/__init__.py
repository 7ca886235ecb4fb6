"""From PyTorch networks to a bundle: what each graph computes, one module a target, and the pipeline of steps."""
