"""The runtimes of web pages in this machine's Chromium: WebAssembly on its CPU, WebGPU on the adapter it finds."""
