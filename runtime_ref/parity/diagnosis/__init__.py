"""Why a file fails: what is wrong with its output, which inputs it ignores, which mistake explains it, where it parts.

Entry: `diagnose.diagnose`, after a failure, for it runs the stage about a hundred times. `effects` alone is cheap.
"""
