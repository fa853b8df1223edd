"""What each lease's process tree takes: memory, CPU, I/O and processes, at each look.

belonging.py  which process counts for which lease
tallies.py    totals that never fall, though processes come and go
costs.py      what one process takes, beyond what the table of processes says
weighing.py   the memory of trees, within an allowance of CPU time
scales.py     one look: all of it together, for the thread
measuring.py  the daemon's door: the thread, how often, and what the core is told
killing.py    whether the kernel ended a holder for want of memory
"""
