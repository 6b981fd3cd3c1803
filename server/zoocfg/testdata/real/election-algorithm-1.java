refused
Invalid electionAlg value. Only 3 is supported.
