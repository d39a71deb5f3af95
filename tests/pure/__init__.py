"""The pure rooms, without sockets and without a clock."""
