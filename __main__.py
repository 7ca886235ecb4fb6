"""`python -m dofkit` is the same as the `dofkit` command."""

from .cli import main

if __name__ == "__main__":
    main()
