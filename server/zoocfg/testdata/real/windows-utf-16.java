refused
dataDir is not set
