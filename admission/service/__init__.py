"""The shell around the core: turns I/O into events, and effects into I/O."""
