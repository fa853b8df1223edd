# Asks the command itself, so that what is offered is never older than what is installed.
admission completion fish | source
