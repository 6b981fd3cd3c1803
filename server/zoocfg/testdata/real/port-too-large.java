refused
port out of range:70000
