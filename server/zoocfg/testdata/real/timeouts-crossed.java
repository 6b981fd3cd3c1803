refused
minSessionTimeout must not be larger than maxSessionTimeout
