"""Work goes to another node where it would wait for long here: `run --overflow`, and the command
`receive` that answers it there. docs/overflow.md has the whole.
"""
