"""What is known of devices that a bundle may run on: one TOML file each. How they are read: `devices.profile`."""
