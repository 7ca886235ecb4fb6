"""Android devices over adb: the user's own benchmark tools are run there, by path; nothing is installed."""
