//! Reads the headers of scenes, where GDAL is. A scene that can't be read is a finding.

use swath_proto::{
    item::Survey,
    outcome::FailureClass,
    scene::{SceneFiles, Surveyed, SurveyedScene},
};
use swath_raster::Raster;

use super::{Output, json};
use crate::{
    context::{Claimed, Context},
    failure::JobError,
};

pub(super) async fn run(cx: &Context, item: &Claimed, work: &Survey) -> Result<Output, JobError> {
    let scenes = work.scenes.clone();
    let is_last_try = item.is_last_try();
    let survey = move || scenes.iter().map(|scene| survey(scene, is_last_try)).collect::<Result<Vec<_>, _>>();
    let surveyed = cx.native(item, survey).await?;
    for scene in &work.scenes {
        if let Some(SurveyedScene::Readable(_)) = surveyed.iter().find(|found| found.id() == &scene.id) {
            cx.check_unchanged(&scene.image).await?;
        }
    }
    json(&Surveyed::V1 { scenes: surveyed }, 0)
}

/// What no worker could open is a finding at last: the others of the item are not held up by it.
fn survey(scene: &SceneFiles, is_last_try: bool) -> Result<SurveyedScene, JobError> {
    let header = Raster::open(&scene.image.uri)
        .and_then(|raster| raster.header(scene.id.clone(), scene.image.clone()));
    match header.map_err(JobError::from) {
        Ok(header) => Ok(SurveyedScene::Readable(header)),
        Err(JobError::Failed { class, source })
            if class == FailureClass::Data || (class == FailureClass::Fault && is_last_try) =>
        {
            Ok(SurveyedScene::Unreadable { id: scene.id.clone(), message: format!("{source:#}") })
        }
        Err(error) => Err(error),
    }
}
