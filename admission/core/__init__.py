"""Pure decisions: events in, effects out. No trio, socket, clock, file or random number."""
