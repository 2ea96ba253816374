//! Which port is whose: eight of the ten from the base on.

use std::net::TcpListener;

use anyhow::bail;

/// The demo's ports.
#[derive(Clone, Copy)]
pub struct Ports(u16);

impl Ports {
    /// Ports from `base` on.
    ///
    /// # Errors
    /// When they do not fit below 65536.
    pub fn from_base(base: u16) -> anyhow::Result<Self> {
        if !(1024..=65_525).contains(&base) {
            bail!("--port-base must be 1024 to 65525");
        }
        Ok(Self(base))
    }

    /// The base.
    pub fn base(self) -> u16 {
        self.0
    }

    /// The address of the `n`th port.
    pub fn address(self, n: u16) -> String {
        format!("127.0.0.1:{}", self.0 + n)
    }

    /// The URL of the `n`th port, as programs and SDKs dial it.
    pub fn url(self, n: u16) -> String {
        format!("http://{}", self.address(n))
    }

    /// The shop as browsers see it: a site of its own, so that the iframe is truly cross-site.
    pub fn shop(self) -> String {
        format!("http://shop.localhost:{}", self.0 + SHOP)
    }

    /// The vault's public listener as browsers see it.
    pub fn vault(self) -> String {
        format!("http://vault.localhost:{}", self.0 + VAULT)
    }

    /// Says at once which port is taken, instead of a program failing later.
    ///
    /// # Errors
    /// Names the port and what to do.
    pub fn check_free(self) -> anyhow::Result<()> {
        for n in 0..=ACQUIRER_ADMIN {
            if TcpListener::bind(self.address(n)).is_err() {
                bail!(
                    "port {} is taken; choose another range with --port-base",
                    self.0 + n
                );
            }
        }
        Ok(())
    }
}

/// The shop.
pub const SHOP: u16 = 0;
/// The vault's public listener.
pub const VAULT: u16 = 1;
/// The vault's private listener.
pub const VAULT_PRIVATE: u16 = 2;
/// The vault's admin listener.
pub const VAULT_ADMIN: u16 = 3;
/// Payments.
pub const PAYMENTS: u16 = 4;
/// Payments' admin listener.
pub const PAYMENTS_ADMIN: u16 = 5;
/// The acquirer.
pub const ACQUIRER: u16 = 6;
/// The acquirer's admin listener.
pub const ACQUIRER_ADMIN: u16 = 7;
