//! What the demo shop sells: the same on every machine, made from the lists below.

use serde_json::{Map, Value, json};

const CURRENCY: &str = "USD";
const WAREHOUSES: [&str; 3] = ["coast", "north", "valley"];
const LINES: [&str; 5] = ["Ember", "Harbor", "Juniper", "Slate", "Willow"];

/// One category with five kinds of goods, each made in every line.
pub(crate) struct Category {
    pub(crate) slug: &'static str,
    pub(crate) name: &'static str,
    code: &'static str,
    goods: [&'static str; 5],
    option: &'static str,
    choices: [&'static str; 3],
    materials: [&'static str; 2],
    /// The price of the cheapest, in minor units.
    price_from: i64,
}

pub(crate) const CATEGORIES: [Category; 8] = [
    Category {
        slug: "kitchen",
        name: "Kitchen",
        code: "KIT",
        goods: ["Kettle", "Mug", "Skillet", "Teapot", "Whisk"],
        option: "color",
        choices: ["red", "cream", "black"],
        materials: ["enamel", "steel"],
        price_from: 900,
    },
    Category {
        slug: "garden",
        name: "Garden",
        code: "GAR",
        goods: ["Bench", "Planter", "Rake", "Trowel", "Watering Can"],
        option: "size",
        choices: ["small", "medium", "large"],
        materials: ["cedar", "zinc"],
        price_from: 1400,
    },
    Category {
        slug: "lighting",
        name: "Lighting",
        code: "LIG",
        goods: [
            "Desk Lamp",
            "Floor Lamp",
            "Lantern",
            "Night Light",
            "Pendant",
        ],
        option: "shade",
        choices: ["white", "amber", "smoke"],
        materials: ["brass", "glass"],
        price_from: 2500,
    },
    Category {
        slug: "office",
        name: "Office",
        code: "OFF",
        goods: [
            "Clipboard",
            "Fountain Pen",
            "Notebook",
            "Paper Tray",
            "Stapler",
        ],
        option: "color",
        choices: ["navy", "olive", "grey"],
        materials: ["cork", "aluminium"],
        price_from: 600,
    },
    Category {
        slug: "outdoor",
        name: "Outdoor",
        code: "OUT",
        goods: ["Backpack", "Camp Chair", "Flask", "Hammock", "Tent"],
        option: "color",
        choices: ["forest", "sand", "orange"],
        materials: ["canvas", "nylon"],
        price_from: 2200,
    },
    Category {
        slug: "textiles",
        name: "Textiles",
        code: "TEX",
        goods: ["Apron", "Blanket", "Cushion", "Rug", "Towel"],
        option: "size",
        choices: ["small", "medium", "large"],
        materials: ["linen", "wool"],
        price_from: 1200,
    },
    Category {
        slug: "toys",
        name: "Toys",
        code: "TOY",
        goods: ["Building Blocks", "Kite", "Puzzle", "Spinning Top", "Train"],
        option: "color",
        choices: ["blue", "yellow", "green"],
        materials: ["beech", "paper"],
        price_from: 800,
    },
    Category {
        slug: "audio",
        name: "Audio",
        code: "AUD",
        goods: ["Headphones", "Metronome", "Radio", "Speaker", "Turntable"],
        option: "finish",
        choices: ["walnut", "silver", "black"],
        materials: ["aluminium", "walnut"],
        price_from: 3900,
    },
];

/// A product with its stock.
pub(crate) struct Product {
    pub(crate) slug: String,
    /// The body of `POST /api/products`.
    pub(crate) body: Value,
    pub(crate) stock: Vec<Stock>,
}

/// The stock of one SKU in one warehouse.
pub(crate) struct Stock {
    pub(crate) sku: String,
    pub(crate) warehouse_id: &'static str,
    pub(crate) on_hand: i64,
}

/// All 200 products, category by category.
pub(crate) fn products() -> Vec<Product> {
    let mut products = Vec::new();
    for category in &CATEGORIES {
        for (kind, goods) in category.goods.iter().enumerate() {
            for (line, line_name) in LINES.iter().enumerate() {
                let number = kind * LINES.len() + line;
                products.push(product(category, number, line_name, goods));
            }
        }
    }
    products
}

fn product(category: &Category, number: usize, line: &str, goods: &str) -> Product {
    let name = format!("{line} {goods}");
    let slug = name.to_lowercase().replace(' ', "-");
    let material = category.materials[number % category.materials.len()];
    let choices = &category.choices[..=number % category.choices.len()];
    let skus = choices.iter().map(|choice| {
        let suffix = choice[..3].to_uppercase();
        format!("{}-{:03}-{suffix}", category.code, number + 1)
    });
    let variants = skus
        .clone()
        .zip(choices)
        .enumerate()
        .map(|(step, (sku, choice))| {
            let minor_units = price(category, number, step);
            json!({
                "sku": sku,
                "options": Map::from_iter([(category.option.to_owned(), json!(choice))]),
                "price": {"minorUnits": minor_units, "currency": CURRENCY},
            })
        });
    let body = json!({
        "slug": slug,
        "name": name,
        "description": format!(
            "A {} of {material} from the {line} line.",
            goods.to_lowercase()
        ),
        "category": category.slug,
        "attributes": {"material": material, "line": line.to_lowercase()},
        "variants": variants.collect::<Vec<_>>(),
    });
    let stock = skus
        .enumerate()
        .flat_map(|(step, sku)| stock(sku, number + step));
    Product {
        slug,
        body,
        stock: stock.collect(),
    }
}

fn price(category: &Category, number: usize, step: usize) -> i64 {
    let [number, step] = [number, step].map(|count| i64::try_from(count).unwrap_or(0));
    category.price_from + 150 * number + 200 * step
}

/// Every SKU lies in one warehouse, every second one in a second one too.
fn stock(sku: String, number: usize) -> Vec<Stock> {
    let count = 1 + number % 2;
    let places = (0..count).map(|place| {
        let on_hand = 40 + number * 7 % 60;
        Stock {
            sku: sku.clone(),
            warehouse_id: WAREHOUSES[(number + place) % WAREHOUSES.len()],
            on_hand: i64::try_from(on_hand).unwrap_or(40),
        }
    });
    places.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn there_are_two_hundred_products_with_slugs_and_skus_of_their_own() {
        let products = products();

        let slugs: HashSet<_> = products.iter().map(|product| &product.slug).collect();
        let variants = products.iter().flat_map(|product| {
            let variants = product.body["variants"].as_array().unwrap();
            variants
                .iter()
                .map(|variant| variant["sku"].as_str().unwrap())
        });
        let skus: HashSet<_> = variants.clone().collect();
        assert_eq!(products.len(), 200);
        assert_eq!(slugs.len(), 200);
        assert_eq!(skus.len(), variants.count());
    }

    #[test]
    fn every_sku_is_in_stock_and_all_warehouses_are_used() {
        let products = products();

        let stock: Vec<_> = products.iter().flat_map(|product| &product.stock).collect();
        let warehouses: HashSet<_> = stock.iter().map(|stock| stock.warehouse_id).collect();
        assert!(stock.iter().all(|stock| stock.on_hand > 0));
        assert_eq!(warehouses.len(), WAREHOUSES.len());
    }
}
