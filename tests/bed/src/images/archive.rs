//! Docker archives: `manifest.json`, a configuration per image, and the layers, which images may share.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType};

use super::layer::{Layer, header, hex};
use crate::components::architecture;

/// Images have no time of their own, so that equal content makes equal images.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// An image: its layers, bottom to top, and how a container of it starts.
#[derive(Debug, Default)]
pub struct Image {
    /// `registry/name:tag`, each.
    pub names: Vec<String>,
    pub layers: Vec<Layer>,
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
    /// `NAME=value`, each; without PATH the usual one is set.
    pub environment: Vec<String>,
    /// Numeric; root if `None`.
    pub user: Option<u32>,
}

impl Image {
    fn configuration(&self) -> Result<Value> {
        let mut environment = self.environment.clone();
        if !environment.iter().any(|variable| variable.starts_with("PATH=")) {
            environment.insert(0, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
        }
        let digests: Vec<_> = self.layers.iter().map(|layer| format!("sha256:{}", layer.digest)).collect();
        let history: Vec<_> = digests.iter().map(|_| json!({"created": CREATED, "created_by": "bed"})).collect();
        Ok(json!({
            "architecture": architecture()?,
            "os": "linux",
            "created": CREATED,
            "config": {
                "Entrypoint": self.entrypoint,
                "Cmd": self.command,
                "Env": environment,
                "User": self.user.map(|user| user.to_string()).unwrap_or_default(),
            },
            "rootfs": {"type": "layers", "diff_ids": digests},
            "history": history,
        }))
    }
}

/// Writes one archive with all `images`; a layer that several of them share is in it once.
pub fn write(images: &[Image], archive: &Path) -> Result<()> {
    let file = File::create(archive).with_context(|| format!("{} cannot be written.", archive.display()))?;
    let mut tar = Builder::new(BufWriter::with_capacity(1 << 20, file));
    let mut manifest = Vec::new();
    let mut written = BTreeSet::new();
    for image in images {
        let configuration = image.configuration()?.to_string();
        let name = format!("{}.json", hex(&Sha256::digest(&configuration)));
        add(&mut tar, &name, configuration.as_bytes())?;
        let place = |layer: &Layer| format!("{}/layer.tar", layer.digest);
        manifest.push(json!({
            "Config": name,
            "RepoTags": image.names,
            "Layers": image.layers.iter().map(place).collect::<Vec<_>>(),
        }));
        for layer in image.layers.iter().filter(|layer| written.insert(&layer.digest)) {
            let content =
                File::open(&layer.path).with_context(|| format!("The layer {} cannot be read.", layer.path.display()))?;
            let size = usize::try_from(content.metadata()?.len())?;
            let mut header = header(EntryType::Regular, 0o644, size);
            tar.append_data(&mut header, place(layer), BufReader::with_capacity(1 << 20, content))?;
        }
    }
    add(&mut tar, "manifest.json", Value::from(manifest).to_string().as_bytes())?;
    Ok(tar.into_inner()?.flush()?)
}

fn add(tar: &mut Builder<impl Write>, name: &str, content: &[u8]) -> Result<()> {
    let mut header = header(EntryType::Regular, 0o644, content.len());
    Ok(tar.append_data(&mut header, name, content)?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;

    use super::super::layer::LayerWriter;
    use super::*;

    fn contents(archive: &Path) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(File::open(archive).unwrap()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            assert!(files.insert(name.clone(), content).is_none(), "{name} is there twice");
        }
        files
    }

    #[test]
    fn digests_name_what_they_are_of_and_shared_layers_are_written_once() {
        let dir = tempfile::tempdir().unwrap();
        let layer = |name: &str| {
            let mut writer = LayerWriter::create(dir.path().join(name)).unwrap();
            writer.file(name, 0o755, name.as_bytes()).unwrap();
            writer.finish().unwrap()
        };
        let (base, one, two) = (layer("base"), layer("one"), layer("two"));
        let image = |tag: &str, top: &Layer| Image {
            names: vec![format!("bed.local/x:{tag}"), format!("bed.local/x:{tag}.0")],
            layers: vec![base.clone(), top.clone()],
            entrypoint: vec!["/one".into()],
            user: Some(65535),
            environment: vec!["LANG=C.UTF-8".into()],
            ..Image::default()
        };
        let archive = dir.path().join("x.tar");
        write(&[image("1", &one), image("2", &two)], &archive).unwrap();

        let files = contents(&archive);
        let manifest: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        assert_eq!(manifest[0]["RepoTags"], json!(["bed.local/x:1", "bed.local/x:1.0"]));
        assert_eq!(manifest[1]["Layers"][0], json!(format!("{}/layer.tar", base.digest)));
        assert_eq!(files.len(), 1 + 2 + 3);
        for (image, top) in [(0, &one), (1, &two)] {
            let name = manifest[image]["Config"].as_str().unwrap();
            assert_eq!(name, format!("{}.json", hex(&Sha256::digest(&files[name]))));
            let configuration: Value = serde_json::from_slice(&files[name]).unwrap();
            let expected = [&base, top].map(|layer| format!("sha256:{}", layer.digest));
            assert_eq!(configuration["rootfs"]["diff_ids"], json!(expected));
            assert_eq!(configuration["config"]["Entrypoint"], json!(["/one"]));
            assert_eq!(configuration["config"]["User"], "65535");
            assert_eq!(configuration["config"]["Env"].as_array().unwrap().len(), 2);
        }
        for layer in [&base, &one, &two] {
            let content = &files[&format!("{}/layer.tar", layer.digest)];
            assert_eq!(layer.digest, hex(&Sha256::digest(content)));
        }
    }
}
