"""Where bundles are measured: one backend a file. `host` is this machine; phones come later."""
