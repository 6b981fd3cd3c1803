refused
zookeeper.enforce.auth.enabled is true zookeeper.enforce.auth.schemes must be  configured.
