"""Where bundles are measured: one place a file. `host` is this machine; phones come later."""
