//! GeoParquet 1.1, written by column. What is in memory is one row group; it is bounded in rows and
//! in bytes.

use std::{io::Write, mem::take, sync::Arc};

use parquet::{
    basic::{Compression, LogicalType, Repetition, Type as Physical},
    data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int32Type},
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties},
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::{ColumnPath, Type, TypePtr},
};

use crate::{
    error::{Result, WriteError},
    feature::{AreaUnit, Bounds, Feature},
    metadata::{self, Crs},
    wkb,
};

/// Few enough that a reader who filters by the covering skips most of a file, many enough that
/// columns compress.
const GROUP_ROWS: usize = 1 << 16;
const GROUP_BYTES: usize = 16 << 20;

pub struct GeoParquet<W: Write + Send> {
    file: SerializedFileWriter<W>,
    crs: Crs,
    group: Group,
    /// Around all features so far.
    bounds: Option<Bounds>,
}

/// The columns of the row group to come.
#[derive(Default)]
struct Group {
    class_ids: Vec<i32>,
    class_names: Vec<Arc<str>>,
    scores: Vec<f64>,
    areas: Vec<f64>,
    wkb: Vec<u8>,
    wkb_ends: Vec<usize>,
    /// Least x, least y, greatest x, greatest y.
    boxes: [Vec<f64>; 4],
}

impl<W: Write + Send> GeoParquet<W> {
    pub fn new(out: W, crs: Crs, area: AreaUnit) -> Result<Self> {
        let file = SerializedFileWriter::new(out, schema(area)?, Arc::new(properties()))?;
        Ok(Self { file, crs, group: Group::default(), bounds: None })
    }

    pub fn add(&mut self, feature: &Feature) -> Result<()> {
        let bounds = feature.check(self.crs == Crs::LonLat)?;
        self.group.add(feature, bounds);
        self.bounds = Some(self.bounds.map_or(bounds, |so_far| so_far.around(bounds)));
        if self.group.is_full() {
            self.write_group()?;
        }
        Ok(())
    }

    pub fn finish(mut self) -> Result<()> {
        if !self.group.class_ids.is_empty() {
            self.write_group()?;
        }
        let geo = metadata::geo(&self.crs, self.bounds).map_err(std::io::Error::from)?;
        self.file.append_key_value_metadata(KeyValue::new("geo".to_owned(), geo));
        // `into_inner` would make words of an error of the disk.
        self.file.finish()?;
        Ok(())
    }

    fn write_group(&mut self) -> Result<()> {
        let group = take(&mut self.group);
        let mut row_group = self.file.next_row_group()?;
        group.write(&mut row_group)?;
        row_group.close()?;
        Ok(())
    }
}

impl Group {
    fn add(&mut self, feature: &Feature, bounds: Bounds) {
        wkb::polygon(&feature.rings, &mut self.wkb);
        self.wkb_ends.push(self.wkb.len());
        self.class_ids.push(feature.class_id.into());
        self.class_names.push(Arc::clone(&feature.class_name));
        self.scores.push(feature.score);
        self.areas.push(feature.area);
        for (column, value) in self.boxes.iter_mut().zip(bounds.corners()) {
            column.push(value);
        }
    }

    fn is_full(&self) -> bool {
        self.class_ids.len() >= GROUP_ROWS || self.wkb.len() >= GROUP_BYTES
    }

    /// In the order of the schema.
    fn write<W: Write + Send>(self, out: &mut SerializedRowGroupWriter<'_, W>) -> Result<()> {
        column::<Int32Type, _>(out, &self.class_ids)?;
        let names: Vec<_> = self.class_names.iter().map(|name| ByteArray::from(&**name)).collect();
        column::<ByteArrayType, _>(out, &names)?;
        column::<DoubleType, _>(out, &self.scores)?;
        column::<DoubleType, _>(out, &self.areas)?;
        let wkb = ByteArray::from(self.wkb);
        let starts = [0].into_iter().chain(self.wkb_ends.iter().copied());
        let geometries: Vec<_> =
            starts.zip(&self.wkb_ends).map(|(from, &to)| wkb.slice(from, to - from)).collect();
        column::<ByteArrayType, _>(out, &geometries)?;
        for values in &self.boxes {
            column::<DoubleType, _>(out, values)?;
        }
        Ok(())
    }
}

fn column<T: DataType, W: Write + Send>(
    out: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
) -> Result<()> {
    let too_few = || WriteError::Encode("the schema has too few columns".into());
    let mut writer = out.next_column()?.ok_or_else(too_few)?;
    writer.typed::<T>().write_batch(values, None, None)?;
    Ok(writer.close()?)
}

fn schema(area: AreaUnit) -> Result<TypePtr> {
    let column = |name: &'static str, physical: Physical| {
        Type::primitive_type_builder(name, physical).with_repetition(Repetition::REQUIRED)
    };
    let double = |name: &'static str| Ok::<_, WriteError>(Arc::new(column(name, Physical::DOUBLE).build()?));
    let group = |name: &'static str, fields: Vec<TypePtr>| Type::group_type_builder(name).with_fields(fields);
    let edges = ["xmin", "ymin", "xmax", "ymax"].map(double).into_iter().collect::<Result<Vec<_>>>()?;
    let fields = vec![
        Arc::new(column("class_id", Physical::INT32).build()?),
        Arc::new(
            column("class_name", Physical::BYTE_ARRAY)
                .with_logical_type(Some(LogicalType::String))
                .build()?,
        ),
        double("score")?,
        double(area.column())?,
        Arc::new(column("geometry", Physical::BYTE_ARRAY).build()?),
        Arc::new(group("bbox", edges).with_repetition(Repetition::REQUIRED).build()?),
    ];
    Ok(Arc::new(group("schema", fields).build()?))
}

/// Classes repeat, nothing else does: a dictionary of it would only hold memory. The order of
/// polygons by their bytes tells a reader nothing.
fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_created_by(concat!("swath version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::SNAPPY)
        .set_dictionary_enabled(false)
        .set_column_dictionary_enabled(ColumnPath::from("class_id"), true)
        .set_column_dictionary_enabled(ColumnPath::from("class_name"), true)
        .set_column_statistics_enabled(ColumnPath::from("geometry"), EnabledStatistics::None)
        .build()
}
