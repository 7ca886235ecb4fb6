"""`dofkit coreai diff`: `dofkit mil diff` in the words of Core AI."""

from ._mil_options import retold
from .mil_diff import command as mil_command

command = retold(
    mil_command,
    """Compare the Core AI model A with the model B, or with PyTorch, operation by operation.

    Both compute the same inputs. Operations correspond by name, type and shape, in order; a PyTorch layer is found by
    its values. Constant parameters are compared one by one.

    \b
    Exit codes: 0 they agree within the tolerance, 1 they part, 2 bad input.

    \b
    Examples:
        dofkit coreai diff lens_blur.fp32.aimodel lens_blur.fp16.aimodel
        dofkit coreai diff depth.fp16.aimodel --pytorch depth --input image=photo.jpg --resize
    """,
)
