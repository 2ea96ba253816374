//! The file that carries stored cards from one vault to another: sealed to the receiver's public key by HPKE (RFC 9180,
//! base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM).
//!
//! `magic || u32 length || header || enc (32) || chunk* `, each chunk `u32 length || ciphertext`. The header is JSON that
//! anybody may read and nobody may change: it is part of HPKE's `info`. Chunks are sealed one after the other under
//! HPKE's own sequence of nonces, so none can be left out, repeated or moved. The last one says that it is the last and holds
//! the manifest: a file that was cut has none. Nothing may follow it.

use std::io::{Read, Write};

use anyhow::{Context as _, bail};
use hpke::aead::{AeadCtxR, AeadCtxS, AesGcm256};
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem, OpModeR, OpModeS, Serializable as _};
use serde::{Deserialize, Serialize};
use vault_api::keys::{Mode, hex};
use zeroize::Zeroizing;

use crate::crypto::length_prefixed;

type Suite = X25519HkdfSha256;

/// What the file begins with.
const MAGIC: &[u8; 18] = b"cardseal-export/1\n";

/// No chunk and no header is longer.
const LONGEST: usize = 1 << 20;

/// What a chunk is.
const CARDS: &[u8] = b"cards";
const END: &[u8] = b"end";

/// What may be read of a file without its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The export, `exp_..`.
    pub export: String,
    /// Test or live: the receiver's must be the same.
    pub mode: Mode,
    /// The merchant at the vault it comes from.
    pub merchant: String,
    /// The receiver's key.
    pub receiver: String,
    /// Unix seconds.
    pub created: i64,
}

/// What the file holds, in its last chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Cards.
    pub cards: u64,
    /// Chunks that hold them.
    pub chunks: u64,
}

/// The public half of a receiver's key, in its serialised form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// What people compare: the first 20 bytes of SHA-256 of the key, hex.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        use sha2::Digest as _;
        hex(&sha2::Sha256::digest(self.0)[..20])
    }
}

/// A new key pair.
#[must_use]
pub fn new_key() -> (Zeroizing<[u8; 32]>, PublicKey) {
    let (private, public) = Suite::gen_keypair();
    let mut secret = Zeroizing::new([0; 32]);
    secret.copy_from_slice(&private.to_bytes());
    (secret, PublicKey(public.to_bytes().into()))
}

/// Writes a file.
pub struct Writer<W> {
    out: W,
    context: AeadCtxS<AesGcm256, HkdfSha256, Suite>,
    manifest: Manifest,
}

impl<W: Write> Writer<W> {
    /// Begins a file for the holder of `receiver`.
    ///
    /// # Errors
    /// The disk's, or a key that is none.
    pub fn new(mut out: W, header: &Header, receiver: &PublicKey) -> anyhow::Result<Self> {
        let header = serde_json::to_vec(header)?;
        let key = <Suite as Kem>::PublicKey::from_bytes(&receiver.0);
        let key = key.map_err(|_| anyhow::anyhow!("the receiver's key is no X25519 key"))?;
        let sealing = hpke::setup_sender::<AesGcm256, HkdfSha256, Suite>(
            &OpModeS::Base,
            &key,
            &info(&header),
        );
        let (enc, context) =
            sealing.map_err(|_| anyhow::anyhow!("the receiver's key is no use"))?;
        out.write_all(MAGIC)?;
        write_part(&mut out, &header)?;
        out.write_all(&enc.to_bytes())?;
        Ok(Self {
            out,
            context,
            manifest: Manifest {
                cards: 0,
                chunks: 0,
            },
        })
    }

    /// Seals a chunk of cards.
    ///
    /// # Errors
    /// The disk's.
    pub fn cards(&mut self, plain: &[u8], cards: usize) -> anyhow::Result<()> {
        self.manifest.cards += cards as u64;
        self.manifest.chunks += 1;
        self.seal(plain, CARDS)
    }

    /// Ends the file with its manifest.
    ///
    /// # Errors
    /// The disk's.
    pub fn end(mut self) -> anyhow::Result<(W, Manifest)> {
        let manifest = serde_json::to_vec(&self.manifest)?;
        self.seal(&manifest, END)?;
        self.out.flush()?;
        Ok((self.out, self.manifest))
    }

    fn seal(&mut self, plain: &[u8], kind: &[u8]) -> anyhow::Result<()> {
        let sealed = self.context.seal(plain, kind);
        let sealed = sealed.map_err(|_| anyhow::anyhow!("a chunk could not be sealed"))?;
        write_part(&mut self.out, &sealed)
    }
}

/// What stands in a file before its key is needed.
pub struct Sealed<R> {
    input: R,
    /// What may be read of it.
    pub header: Header,
    raw: Vec<u8>,
    enc: [u8; 32],
}

impl<R: Read> Sealed<R> {
    /// Reads the head of a file.
    ///
    /// # Errors
    /// When it is no such file.
    pub fn open(mut input: R) -> anyhow::Result<Self> {
        let mut magic = [0; MAGIC.len()];
        let read = input.read_exact(&mut magic);
        if read.is_err() || &magic != MAGIC {
            bail!("this is no export of a Cardseal vault");
        }
        let raw = read_part(&mut input)?.context("the file ends in its header")?;
        let header = serde_json::from_slice(&raw)
            .map_err(|_| anyhow::anyhow!("the file's header is malformed"))?;
        let mut enc = [0; 32];
        input
            .read_exact(&mut enc)
            .context("the file ends before its first card")?;
        Ok(Self {
            input,
            header,
            raw,
            enc,
        })
    }

    /// Opens it with the receiver's key.
    ///
    /// # Errors
    /// When the key is none.
    pub fn unseal(self, key: &[u8; 32]) -> anyhow::Result<Reader<R>> {
        let refused = |_| anyhow::anyhow!("the file does not open with this key");
        let key = <Suite as Kem>::PrivateKey::from_bytes(key).map_err(refused)?;
        let enc = <Suite as Kem>::EncappedKey::from_bytes(&self.enc).map_err(refused)?;
        let info = info(&self.raw);
        let context =
            hpke::setup_receiver::<AesGcm256, HkdfSha256, Suite>(&OpModeR::Base, &key, &enc, &info);
        Ok(Reader {
            input: self.input,
            context: context.map_err(refused)?,
            chunks: 0,
        })
    }
}

/// Reads the chunks of a file.
pub struct Reader<R> {
    input: R,
    context: AeadCtxR<AesGcm256, HkdfSha256, Suite>,
    chunks: u64,
}

/// The next part of a file.
pub enum Part {
    /// Cards.
    Cards(Zeroizing<Vec<u8>>),
    /// The end.
    End(Manifest),
}

impl<R: Read> Reader<R> {
    /// The next part, once it was authenticated.
    ///
    /// # Errors
    /// When the file was cut, or anything of it changed.
    pub fn next(&mut self) -> anyhow::Result<Part> {
        let changed = || {
            anyhow::anyhow!(
                "the file was changed, or is for another key, at chunk {}: ask for a new export",
                self.chunks + 1
            )
        };
        let sealed = read_part(&mut self.input)?
            .context("the file was cut: it has no end; transfer it again")?;
        // A chunk that does not open under one kind has not moved the sequence on.
        if let Ok(plain) = self.context.open(&sealed, CARDS) {
            self.chunks += 1;
            return Ok(Part::Cards(Zeroizing::new(plain)));
        }
        let plain = self.context.open(&sealed, END).map_err(|_| changed())?;
        let manifest: Manifest = serde_json::from_slice(&plain).map_err(|_| changed())?;
        if manifest.chunks != self.chunks || self.input.read(&mut [0])? != 0 {
            return Err(changed());
        }
        Ok(Part::End(manifest))
    }
}

fn info(header: &[u8]) -> Vec<u8> {
    length_prefixed(&[b"cardseal/export/1", header])
}

fn write_part(out: &mut impl Write, part: &[u8]) -> anyhow::Result<()> {
    let length = u32::try_from(part.len())?;
    out.write_all(&length.to_be_bytes())?;
    Ok(out.write_all(part)?)
}

// None at the very end of the file.
fn read_part(input: &mut impl Read) -> anyhow::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    let mut got = 0;
    while got < length.len() {
        match input.read(&mut length[got..])? {
            0 if got == 0 => return Ok(None),
            0 => bail!("the file was cut; transfer it again"),
            n => got += n,
        }
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > LONGEST {
        bail!("the file is malformed: a part of it is too long");
    }
    let mut part = vec![0; length];
    input
        .read_exact(&mut part)
        .context("the file was cut; transfer it again")?;
    Ok(Some(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            export: "exp_1".into(),
            mode: Mode::Test,
            merchant: "mer_1".into(),
            receiver: "r".into(),
            created: 1,
        }
    }

    fn file(receiver: &PublicKey) -> Vec<u8> {
        let mut writer = Writer::new(vec![], &header(), receiver).expect("begins");
        for chunk in [&b"one"[..], b"two", b"three"] {
            writer.cards(chunk, 2).expect("writes");
        }
        writer.end().expect("ends").0
    }

    fn read(file: &[u8], key: &[u8; 32]) -> anyhow::Result<(Vec<Vec<u8>>, Manifest)> {
        let mut reader = Sealed::open(file)?.unseal(key)?;
        let mut chunks = vec![];
        loop {
            match reader.next()? {
                Part::Cards(plain) => chunks.push(plain.to_vec()),
                Part::End(manifest) => return Ok((chunks, manifest)),
            }
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let (private, public) = new_key();
        let (chunks, manifest) = read(&file(&public), &private).expect("reads");
        assert_eq!(chunks, [&b"one"[..], b"two", b"three"]);
        assert_eq!((manifest.cards, manifest.chunks), (6, 3));
        let (other, _) = new_key();
        assert!(read(&file(&public), &other).is_err());
    }

    #[test]
    fn any_changed_byte_is_found() {
        let (private, public) = new_key();
        let good = file(&public);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(read(&bad, &private).is_err(), "byte {at}");
        }
    }

    #[test]
    fn any_cut_and_any_addition_is_found() {
        let (private, public) = new_key();
        let good = file(&public);
        for length in 0..good.len() {
            assert!(read(&good[..length], &private).is_err(), "{length} bytes");
        }
        let longer = [&good[..], b"x"].concat();
        assert!(read(&longer, &private).is_err());
        assert!(read(&[&good[..], &good[..]].concat(), &private).is_err());
    }

    #[test]
    fn chunks_cannot_be_moved_repeated_or_left_out() {
        let (private, public) = new_key();
        let good = file(&public);
        // Where each part begins: after magic, header and enc come three chunks and the end.
        let length =
            |at: usize| 4 + u32::from_be_bytes(good[at..at + 4].try_into().expect("four")) as usize;
        let head = MAGIC.len() + length(MAGIC.len()) + 32;
        let mut parts = vec![];
        let mut at = head;
        while at < good.len() {
            parts.push(&good[at..at + length(at)]);
            at += length(at);
        }
        assert_eq!(parts.len(), 4);
        let with = |order: &[usize]| {
            let parts = order.iter().map(|i| parts[*i].to_vec());
            [good[..head].to_vec()]
                .into_iter()
                .chain(parts)
                .collect::<Vec<_>>()
                .concat()
        };
        assert!(read(&with(&[0, 1, 2, 3]), &private).is_ok());
        for order in [
            &[1, 0, 2, 3][..],
            &[0, 0, 1, 2, 3],
            &[0, 2, 3],
            &[0, 1, 3],
            &[3],
            &[0, 1, 2, 3, 3],
            &[1, 2, 3],
        ] {
            assert!(read(&with(order), &private).is_err(), "{order:?}");
        }
        // A part of another file for the same receiver.
        let other = file(&public);
        let mixed = [&good[..head], &other[head..]].concat();
        assert!(read(&mixed, &private).is_err());
    }
}
