//! What the frame build made: loader, document and assets, read once at start and served from memory; and, of former
//! builds, loaders and assets, for the pages that name them.

use std::collections::{HashMap, HashSet};
use std::path::Path as FilePath;

use anyhow::{Context as _, ensure};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde::Deserialize;
use vault_api::Code;

use super::fonts;
use crate::http::Json;
use crate::releases::command::Published;
use crate::releases::{self, PublicKey};
use crate::{App, Error};

const FOREVER: &str = "public, max-age=31536000, immutable";

/// The build's files by name, and its documents by layout.
#[derive(Default)]
pub struct FrameFiles {
    files: HashMap<String, File>,
    documents: HashMap<String, Page>,
    loader: String,
    /// Every loader that there is, this one and former ones.
    loaders: HashSet<String>,
    published: Published,
    /// The public origin of payments, which the loader asks for; none where there are none.
    pub payments_url: Option<String>,
}

struct Page {
    file: String,
    /// Its `script-src` and `style-src`.
    policy: String,
    /// Its `Link` header: the wasm, asked for before the document that needs it has arrived.
    link: Option<HeaderValue>,
}

#[derive(Clone)]
pub(super) struct File {
    plain: Bytes,
    brotli: Option<Bytes>,
    content_type: HeaderValue,
}

/// What the build says of its files (`xtask/src/frame/manifest.rs` writes it).
#[derive(Deserialize)]
pub(super) struct Manifest {
    #[serde(default)]
    pub version: String,
    pub loader: Loader,
    /// By layout.
    pub documents: HashMap<String, Document>,
    pub assets: Vec<Asset>,
}

#[derive(Deserialize)]
pub(super) struct Loader {
    pub file: String,
    pub integrity: String,
}

#[derive(Deserialize)]
pub(super) struct Document {
    pub file: String,
    pub script_hashes: Vec<String>,
    pub style_hashes: Vec<String>,
    #[serde(default)]
    pub preload: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Asset {
    pub file: String,
    pub content_type: String,
    pub integrity: String,
}

impl Manifest {
    pub fn read(folder: &FilePath) -> anyhow::Result<Self> {
        let manifest = std::fs::read(folder.join("manifest.json")).with_context(|| {
            format!(
                "{} holds no frame; name its folder with --frame-dir, make it with `cargo xtask frame`",
                folder.display()
            )
        })?;
        serde_json::from_slice(&manifest).context("the frame's manifest.json is malformed")
    }
}

impl FrameFiles {
    /// Reads a build.
    ///
    /// # Errors
    /// Which file is missing or malformed, and how to make it.
    pub fn read(folder: &FilePath) -> anyhow::Result<Self> {
        let manifest = Manifest::read(folder)?;
        let mut files = HashMap::new();
        let mut add = |name: &str, content_type: &str| -> anyhow::Result<()> {
            files.insert(
                name.to_owned(),
                File::read(&folder.join(name), content_type)?,
            );
            Ok(())
        };
        for document in manifest.documents.values() {
            add(&document.file, "text/html; charset=utf-8")?;
        }
        add(&manifest.loader.file, "text/javascript; charset=utf-8")?;
        for asset in &manifest.assets {
            add(&asset.file, &asset.content_type)?;
        }
        let documents = manifest.documents.into_iter();
        Ok(Self {
            files,
            documents: documents
                .map(|(layout, document)| Ok((layout, Page::of(document)?)))
                .collect::<anyhow::Result<_>>()?,
            loaders: HashSet::from([manifest.loader.file.clone()]),
            loader: manifest.loader.file,
            published: Published {
                releases: signed(folder).into_iter().collect(),
            },
            payments_url: None,
        })
    }

    /// With former builds: their loaders and assets are served as before, their documents are not. A file that two builds
    /// have is the same one, its name holds its hash.
    ///
    /// # Errors
    /// Which file is missing, malformed or another one of the same name.
    pub fn with_archive(mut self, archive: &FilePath) -> anyhow::Result<Self> {
        for folder in releases::archived(archive)? {
            let former = Self::read(&folder)?;
            let documents: HashSet<_> = former.documents.values().map(|page| &page.file).collect();
            for (name, file) in &former.files {
                if documents.contains(name) {
                    continue;
                }
                let ours = self
                    .files
                    .entry(name.clone())
                    .or_insert_with(|| file.clone());
                ensure!(
                    ours.plain == file.plain,
                    "{name} of {} is another one than that of a newer build",
                    folder.display()
                );
            }
            self.loaders.extend(former.loaders);
            let unknown = |jws: &String| !self.published.releases.contains(jws);
            let news: Vec<_> = former
                .published
                .releases
                .into_iter()
                .filter(unknown)
                .collect();
            self.published.releases.extend(news);
        }
        Ok(self)
    }

    /// Checks a build, and every one in the archive, against its signed statement.
    ///
    /// # Errors
    /// Which build, which file, and what to do.
    pub fn check_signed(
        folder: &FilePath,
        archive: Option<&FilePath>,
        keys: &[PublicKey],
    ) -> anyhow::Result<()> {
        let former = archive.map(releases::archived).transpose()?;
        for build in [folder.to_owned()]
            .into_iter()
            .chain(former.into_iter().flatten())
        {
            releases::check(&build, keys)?;
        }
        Ok(())
    }

    /// The release that a build is.
    ///
    /// # Errors
    /// When there is no build.
    pub fn version(folder: &FilePath) -> anyhow::Result<String> {
        Ok(Manifest::read(folder)?.version)
    }

    /// What the listener serves of a build: path and file.
    ///
    /// # Errors
    /// When there is no build.
    pub fn served(folder: &FilePath) -> anyhow::Result<Vec<(String, String)>> {
        let manifest = Manifest::read(folder)?;
        let at = |file: String| (format!("/v1/{file}"), file);
        let documents = manifest.documents.into_iter();
        let documents = documents
            .map(|(layout, document)| (format!("/v1/frame?layout={layout}"), document.file));
        let assets = manifest.assets.into_iter().map(|asset| at(asset.file));
        Ok(documents
            .chain(assets)
            .chain([at(manifest.loader.file)])
            .collect())
    }

    /// Says where payments is.
    #[must_use]
    pub fn with_payments(mut self, url: Option<String>) -> Self {
        self.payments_url = url;
        self
    }

    pub(super) fn add(&mut self, name: &str, file: File) {
        self.files.insert(name.to_owned(), file);
    }

    /// Whether the operator offers fonts.
    #[must_use]
    pub fn has_fonts(&self) -> bool {
        self.files.contains_key(fonts::LIST)
    }

    /// The document of a layout, the same bytes for everybody; and `script-src` and `style-src` of its policy.
    ///
    /// # Errors
    /// `not_found` for a layout that there is not, and when the vault was started without a frame.
    pub fn document(&self, layout: &str, accepts: &HeaderMap) -> Result<(Response, &str), Error> {
        let page = self.documents.get(layout).ok_or(Code::NotFound)?;
        let mut response = self.serve(&page.file, accepts, "no-cache")?;
        if let Some(link) = &page.link {
            response.headers_mut().insert(header::LINK, link.clone());
        }
        Ok((response, &page.policy))
    }

    fn serve(
        &self,
        name: &str,
        accepts: &HeaderMap,
        cache: &'static str,
    ) -> Result<Response, Error> {
        let file = self.files.get(name).ok_or(Code::NotFound)?;
        let wants_brotli = accepts
            .get(header::ACCEPT_ENCODING)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.split(',').any(|coding| coding.trim() == "br"));
        let mut response = match &file.brotli {
            Some(brotli) if wants_brotli => (
                [(header::CONTENT_ENCODING, HeaderValue::from_static("br"))],
                brotli.clone(),
            )
                .into_response(),
            _ => file.plain.clone().into_response(),
        };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, file.content_type.clone());
        for (name, value) in [
            (header::VARY, "accept-encoding"),
            (header::CACHE_CONTROL, cache),
            (
                HeaderName::from_static("cross-origin-resource-policy"),
                "cross-origin",
            ),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        Ok(response)
    }
}

fn signed(folder: &FilePath) -> Option<String> {
    let jws = std::fs::read_to_string(folder.join(releases::FILE)).ok()?;
    Some(jws.trim().to_owned())
}

impl Page {
    fn of(document: Document) -> anyhow::Result<Self> {
        let quoted = |hashes: &[String]| {
            let quoted: Vec<_> = hashes.iter().map(|hash| format!("'{hash}'")).collect();
            quoted.join(" ")
        };
        let link = document.preload.map(|file| {
            let link =
                format!("<{file}>; rel=preload; as=fetch; type=\"application/wasm\"; crossorigin");
            HeaderValue::from_str(&link)
        });
        Ok(Self {
            policy: format!(
                "script-src {} 'wasm-unsafe-eval'; style-src {}",
                quoted(&document.script_hashes),
                quoted(&document.style_hashes)
            ),
            link: link.transpose()?,
            file: document.file,
        })
    }
}

impl File {
    pub(super) fn of(content: Vec<u8>, content_type: &'static str) -> Self {
        Self {
            plain: content.into(),
            brotli: None,
            content_type: HeaderValue::from_static(content_type),
        }
    }

    fn read(path: &FilePath, content_type: &str) -> anyhow::Result<Self> {
        let plain = std::fs::read(path)
            .with_context(|| format!("the frame build lacks {}", path.display()))?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(".br");
        let brotli = std::fs::read(beside).ok().map(Bytes::from);
        Ok(Self {
            plain: plain.into(),
            brotli,
            content_type: HeaderValue::from_str(content_type)?,
        })
    }
}

/// `GET /v1/cardseal.js` (development, no integrity) and `GET /v1/cardseal-<version>.js` (immutable).
pub async fn loader(
    State(app): State<App>,
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let (name, cache) = match file.as_str() {
        "cardseal.js" => (app.frame.loader.as_str(), "public, max-age=60"),
        name if app.frame.loaders.contains(name) => (name, FOREVER),
        _ => return Err(Code::NotFound.into()),
    };
    let mut response = app.frame.serve(name, &headers, cache)?;
    // `integrity` on a script of another origin needs CORS; the loader is public.
    response.headers_mut().insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    Ok(response)
}

/// `GET /v1/assets/{file}`: hashed names, immutable.
pub async fn asset(
    State(app): State<App>,
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let name = format!("assets/{file}");
    // The one whose name holds no hash.
    let cache = if name == fonts::LIST {
        "no-cache"
    } else {
        FOREVER
    };
    let mut response = app.frame.serve(&name, &headers, cache)?;
    // For what the loader fetches under integrity on the merchant's page.
    response.headers_mut().insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    Ok(response)
}

/// `GET /.well-known/cardseal-releases.json`: the signed statements of what is served.
pub async fn releases(State(app): State<App>) -> Response {
    let mut response = Json(&app.frame.published).into_response();
    response.headers_mut().insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    response
}
