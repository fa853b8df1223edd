"""Several machines: what each says of itself, and pools whose units are all machines', by etcd.

Imported only where the configuration names etcd's endpoints.
"""
