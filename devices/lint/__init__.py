"""What an exported file will meet on a device, read from the file itself, before there is a phone."""
