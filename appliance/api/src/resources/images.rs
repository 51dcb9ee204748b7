//! `/farrier/v1/images`: the images of the asset store.

use crate::reply::{self, Cursor};
use crate::resource::{Ask, Out, Route};

pub(crate) const ROUTES: &[Route] = &[Route::read("/farrier/v1/images", list)];

fn list(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    let images = ask.view.images;
    reply::list(at, w, "images", |n| images.get(n), |image, w| {
        w.object().key("name").string(&image.name);
        w.key("version").number(image.version);
        w.key("bytes").number(image.raw_size).end_object();
    });
}
