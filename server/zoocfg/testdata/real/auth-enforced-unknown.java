refused
Authentication scheme kerberos is not available.
