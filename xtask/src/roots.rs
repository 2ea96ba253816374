//! Root keys for the tests: a KMS (moto's server, from PyPI, in a virtual environment under `target/`) and an HSM
//! (SoftHSM2, its tokens in a temporary folder). Both are gone afterwards.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::{steps, workspace};

/// The version that the tests were written against.
const MOTO: &str = "moto[server]==5.2.5";

/// How long the server may take to start on a cold machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running moto server: AWS's HTTP interface, KMS among it.
pub struct Kms {
    child: Child,
    address: SocketAddr,
}

impl Kms {
    /// Installs the server if `target/` has none, starts it and waits until it answers.
    ///
    /// # Errors
    /// When PyPI cannot be reached or the server does not come up.
    pub fn start(python: &Path) -> anyhow::Result<Self> {
        let server = installed(python)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new(&server)
            .args(["-H", "127.0.0.1", "-p", &address.port().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{} could not be started", server.display()))?;
        let mut kms = Self { child, address };
        let started = Instant::now();
        while !kms.answers() {
            if kms.child.try_wait()?.is_some() || started.elapsed() > PATIENCE {
                bail!("moto's server does not answer; remove target/moto and try again");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(kms)
    }

    /// What the tests want to know. The credentials are words: moto takes any.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 3] {
        [
            (
                "CARDSEAL_TEST_KMS_ENDPOINT",
                format!("http://{}", self.address),
            ),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ]
    }

    fn answers(&self) -> bool {
        let mut answer = [0; 5];
        TcpStream::connect(self.address).is_ok_and(|mut stream| {
            let ask = b"GET /moto-api/ HTTP/1.0\r\nHost: localhost\r\n\r\n";
            let set = stream.set_read_timeout(Some(Duration::from_secs(5)));
            set.is_ok()
                && stream.write_all(ask).is_ok()
                && stream.read_exact(&mut answer).is_ok()
                && &answer == b"HTTP/"
        })
    }
}

impl Drop for Kms {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn installed(python: &Path) -> anyhow::Result<PathBuf> {
    let folder = workspace::target()?.join("moto");
    let (server, mark) = (folder.join("bin/moto_server"), folder.join("installed"));
    if server.is_file() && std::fs::read_to_string(&mark).is_ok_and(|text| text == MOTO) {
        return Ok(server);
    }
    steps::note(&format!("installing {MOTO} from PyPI into target/moto"));
    steps::run(Command::new(python).args(["-m", "venv"]).arg(&folder))?;
    let mut install = Command::new(folder.join("bin/pip"));
    install.args(["install", "--quiet", "--disable-pip-version-check", MOTO]);
    steps::run(install.stdout(std::io::stderr()))?;
    std::fs::write(&mark, MOTO)?;
    Ok(server)
}

/// SoftHSM2 with a place of its own for tokens.
pub struct Hsm {
    module: PathBuf,
    folder: PathBuf,
}

impl Hsm {
    /// Makes the place.
    ///
    /// # Errors
    /// When the temporary folder cannot be written.
    pub fn prepare(module: &Path) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("cardseal-softhsm-{}", std::process::id()));
        let tokens = folder.join("tokens");
        std::fs::create_dir_all(&tokens)?;
        let settings = format!(
            "directories.tokendir = {}\nlog.level = ERROR\n",
            tokens.display()
        );
        std::fs::write(folder.join("softhsm2.conf"), settings)?;
        Ok(Self {
            module: module.to_owned(),
            folder,
        })
    }

    /// What the tests, and SoftHSM2 itself, want to know.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, PathBuf); 2] {
        [
            ("CARDSEAL_TEST_PKCS11_MODULE", self.module.clone()),
            ("SOFTHSM2_CONF", self.folder.join("softhsm2.conf")),
        ]
    }
}

impl Drop for Hsm {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
