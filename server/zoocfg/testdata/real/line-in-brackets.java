mode standalone
listens [::1]:2181
