//! The built program serving: started with what a test gives it, and ready when it says so.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_token-vault");

/// `token-vault serve`, on ports of its own on this machine.
pub struct Served {
    child: Child,
    log: PathBuf,
    pub public: u16,
    pub private: u16,
    pub admin: u16,
}

impl Served {
    /// Starts it with what `options` adds, and waits until it is ready. Its log goes into `folder`.
    pub fn start(folder: &Path, options: impl FnOnce(&mut Command)) -> Self {
        let [public, private, admin] = [(); 3].map(|()| free_port());
        let log = folder.join("log");
        let mut command = Command::new(PROGRAM);
        command.arg("serve");
        for (listener, port) in [("public", public), ("private", private), ("admin", admin)] {
            command.args([&format!("--{listener}"), &format!("127.0.0.1:{port}")]);
        }
        options(&mut command);
        command
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap());
        let served = Self {
            child: command.spawn().unwrap(),
            log,
            public,
            private,
            admin,
        };
        let started = Instant::now();
        while request(admin, "GET /readyz", "", "").is_none_or(|text| !text.contains(" 200 ")) {
            let late = started.elapsed() > Duration::from_secs(60);
            assert!(!late, "the vault did not come up: {}", served.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        served
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal: `-TERM`, `-HUP`.
    pub fn signal(&self, name: &str) {
        let told = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status();
        assert!(told.unwrap().success());
    }

    /// Waits until it is gone; whether it ended well.
    pub fn wait(&mut self) -> bool {
        self.child.wait().unwrap().success()
    }

    /// SIGKILL, and waits until it is gone.
    pub fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.end();
    }
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A frame of empty files, of the shape that `serve` takes; where it is.
pub fn frame(folder: &Path) -> PathBuf {
    let frame = folder.join("frame");
    std::fs::create_dir_all(&frame).unwrap();
    let manifest = json!({"loader": {"file": "cardseal-1.js", "integrity": "-"}, "assets": [],
        "documents": {"card": {"file": "frame.html", "script_hashes": [], "style_hashes": []}}});
    std::fs::write(frame.join("manifest.json"), manifest.to_string()).unwrap();
    for file in ["cardseal-1.js", "frame.html"] {
        std::fs::write(frame.join(file), "").unwrap();
    }
    frame
}

/// One request on a connection of its own; none when there is no answer.
pub fn request(port: u16, line: &str, headers: &str, body: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(15)))
        .ok()?;
    let text = format!(
        "{line} HTTP/1.1\r\nhost: vault\r\nconnection: close\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    (!answer.is_empty()).then_some(answer)
}
