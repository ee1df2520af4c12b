//! `MDB9xx`: what could not be seen. They never lead to exit code 3: see `decide::exit`.

rules! {
    POD_SILENT = "MDB901", Warning, "A pod did not answer",
    "The command in the pod's container gave no answer within the pod's deadline (`--pod-timeout`, default 3 s), or the API server could \
not reach the kubelet of the pod's node, so nothing is known about this server. Its node may be dead or cut off, the container runtime \
may hang, or the way to it is slow.

It says nothing about the database: it may run well. The other pods are shown as they are. If the node is known to be silent, that \
finding (MDB121) says more. Try again with a longer `--pod-timeout`.";

    EXEC_FORBIDDEN = "MDB902", Warning, "You have no right to run commands in the pods",
    "What servers say is read by running their own client inside the pod, which needs `get` on `pods/exec` in this namespace. \
Your user lacks it, so only what the API server knows is shown, and that is not enough for a verdict: Kubernetes does not know \
whether a cluster has split or a replica has stopped.

Ask for a Role with `get` and `create` on `pods/exec` (newer API servers ask for both) and \
`get` and `list` on `pods` and `statefulsets`, or use a context of a user who has it. \
`kubectl auth can-i get pods --subresource=exec` tells.";

    WRONG_PASSWORD = "MDB903", Warning, "The server refuses the password that its container knows",
    "The password is taken inside the container, from its environment or from the file that a `_FILE` variable names, and the server \
answers with error 1045. The server runs; it only does not let us in.

Usual causes: the Secret was changed after the database was initialised (the official image uses it only then), the password was \
changed by SQL, or a state transfer brought the accounts of the donor. Put the right password into the Secret and restart the pods \
one at a time, or set the server's password to the Secret's.";

    NO_PASSWORD = "MDB904", Warning, "No password is known inside the container",
    "Neither the environment of the container nor the files it names hold a root password, and the server does not accept root over its \
socket without one. The known variables are those of the official image, of the Bitnami images and of mariadb-operator.

Name the Secret that holds it with `--password-from secret/NAME:KEY`: it is read with your own rights, and goes to the client in the container through the exec's input, not through any command line. To be rid of this, make the password known to the container, or allow `root@localhost` through the unix socket.";

    NO_CLIENT = "MDB905", Warning, "The container has no MariaDB client",
    "Neither `mariadb` nor `mysql` was found in the container, so its server cannot be asked. Images of 11.x have only `mariadb`; images \
cut down to the server have none.

Use an image with the client, or add it.";

    NO_SOCKET = "MDB906", Warning, "No server socket was found in the container",
    "The client in the container cannot connect to its server, and the files of the container could not be read to tell why: the server \
may be starting, receiving a state transfer, waiting for other members, or be down.

Look again in some seconds, and at the log of the pod.";

    TOO_MANY_CONNECTIONS = "MDB907", Warning, "The server takes no more connections",
    "All `max_connections` of this server are in use (error 1040), so it cannot be asked; new clients are refused as well. MariaDB keeps \
one connection more for an administrator with the right privilege, and that one is in use too, or the account here lacks it.

The server works for those who are connected. Look for clients that leak connections, and for a pool that is larger than the limit \
times the members. Raise `max_connections` with the memory in mind.";

    TLS_DISAGREES = "MDB908", Warning, "Client and server in the container disagree on TLS",
    "The client inside the container was refused, or refused the server, for TLS (error 2026): the server's certificate does not fit, or \
one side demands what the other does not offer. Clients of 11.4 and later verify certificates by default.

Look at `ssl-*` and `require_secure_transport` in the configuration of both sides in the image.";

    SQL_FAILED = "MDB909", Warning, "A server could not be asked",
    "The question to this server failed in a way that is not one of the known ones; the message is shown as it came. Nothing is known \
about this server.

Run the client by hand in the pod to see more, and look at the log of the pod.";

    FILES_UNREADABLE = "MDB911", Warning, "The files of a data directory could not be read",
    "The server of this pod was asked, but its state files, volume use and start switches could not be read: the data directory was not \
found, or the user of the container may not read it. So bootstrap switches, half copies and a full disk would go unseen here.";

    EXTRAS_UNREADABLE = "MDB921", Info, "Some Kubernetes objects may not be read",
    "Nodes, claims, services or events of this cluster could not be read, mostly for want of rights. They add to the picture (dead nodes, \
deleted claims, mounts) and are not needed for the verdict, so the exit code is as it would be with them. What they would have shown \
is not shown.

To see them, ask for `list` on the named resources; nodes need a ClusterRole.";

    NOT_ASKED = "MDB931", Info, "The servers were not asked",
    "With `--no-exec` nothing is run in the pods, so this is what the API server knows, and no verdict on the database: Kubernetes shows \
green for a split cluster, for stopped replicas and for a read-only primary.";
}
