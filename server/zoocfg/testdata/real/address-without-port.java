refused
clientPortAddress is set but clientPort is not set
