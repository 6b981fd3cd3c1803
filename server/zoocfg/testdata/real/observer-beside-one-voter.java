refused
Observers w/o quorum is an invalid configuration
