//! A switch that is configured over the network, as a rack's real one is.
