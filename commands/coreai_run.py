"""`dofkit coreai run`: `dofkit mil run` in the words of Core AI."""

from ._mil_options import retold
from .mil_run import command as mil_command

command = retold(
    mil_command,
    """Evaluate the Core AI model PACKAGE.

    Photos become RGB for inputs of three channels and grey for those of one, with values in [0, 1]. Whole numbers in
    floating arrays are taken by integer inputs. Pictures that are written are cut to [0, 1].

    \b
    Exit codes: 0 done, 1 an operation made infinities or NaN (it is named), 2 bad input.

    \b
    Examples:
        dofkit coreai run depth.aimodel --input image=photo.jpg --resize --out disparity
        dofkit coreai run any.aimodel --random 0
    """,
)
