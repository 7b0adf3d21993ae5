//! What GDAL has to know to read an item's files: as the SDK has settled it, so that both ask as the same and in
//! the same way.

use swath_backends::{blobs::SharedBlobs, outside::Outside};
use swath_proto::{access::Access, scene::FileRef};
use swath_raster::remote::{Keys, Pass};

/// Passes for files outside the root, and for the root itself, which is always reached as the environment says.
pub async fn passes(
    outside: &Outside,
    access: &[Access],
    files: &[FileRef],
    root: &SharedBlobs,
) -> swath_backends::Result<Vec<Pass>> {
    let files = outside.reached_as(access).passes(files.iter().map(|file| file.uri.as_str())).await?;
    let root = root.uri("");
    let of_root = outside.reached_as(&[]).passes([root.as_str()]).await?;
    let of_root = of_root.into_iter().map(|(_, pass)| (root.clone(), pass));
    Ok(files.into_iter().chain(of_root).map(|(prefix, pass)| told(prefix, pass)).collect())
}

fn told(prefix: String, pass: swath_backends::outside::Pass) -> Pass {
    let keys = pass.keys.map(|keys| Keys { id: keys.id, secret: keys.secret, token: keys.token });
    Pass {
        prefix,
        endpoint: pass.endpoint,
        region: pass.region,
        path_style: pass.path_style,
        requester_pays: pass.requester_pays,
        keys,
    }
}
