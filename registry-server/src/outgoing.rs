//! What requests of this process to others have in common.

/// Sees to it that TLS has its cryptography, before a client is made that needs it.
pub(crate) fn choose_tls() {
    // Fails when another part of the process chose a provider before: then that one serves.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
