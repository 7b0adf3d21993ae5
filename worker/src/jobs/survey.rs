//! Reads the headers of scenes, where GDAL is. A scene that can't be read is a finding.

use swath_proto::{
    item::{Item, Survey},
    outcome::FailureClass,
    scene::{SceneFiles, Surveyed, SurveyedScene},
};
use swath_raster::Raster;

use super::{Output, json};
use crate::{context::Context, failure::JobError};

pub(super) async fn run(cx: &Context, item: &Item, work: &Survey) -> Result<Output, JobError> {
    let scenes = work.scenes.clone();
    let surveyed = cx.native(item, move || scenes.iter().map(survey).collect::<Result<Vec<_>, _>>()).await?;
    json(&Surveyed::V1 { scenes: surveyed }, 0)
}

fn survey(scene: &SceneFiles) -> Result<SurveyedScene, JobError> {
    let header = Raster::open(&scene.image.uri)
        .and_then(|raster| raster.header(scene.id.clone(), scene.image.clone()));
    match header.map_err(JobError::from) {
        Ok(header) => Ok(SurveyedScene::Readable(header)),
        Err(JobError::Failed { class: FailureClass::Data, source }) => {
            Ok(SurveyedScene::Unreadable { id: scene.id.clone(), message: format!("{source:#}") })
        }
        Err(error) => Err(error),
    }
}
