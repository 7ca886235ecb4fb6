"""One module a command. Each imports only click at its top; what is heavy is imported when the command runs."""
