refused
tickTime is not set
