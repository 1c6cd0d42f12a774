-- What usher_shop tells core about itself.

CREATE FUNCTION @extschema@._shop_error_codes() RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_shop_error_codes';
COMMENT ON FUNCTION @extschema@._shop_error_codes() IS
    'The error codes of usher_shop (extension/usher_shop/shop_errors.hpp).';

SELECT usher.register_extension('Products with prices, stock that cannot be promised twice, and orders',
    error_class => 'UC',
    error_codes => @extschema@._shop_error_codes(),
    hooks => '{
        "upkeep": "_shop_upkeep", "self_check": "_shop_self_check", "configuration": "_shop_configuration",
        "metrics": "_shop_metrics", "health": "_shop_health", "export": "_export_shop", "erase": "_erase_shop",
        "purchase": "_purchase_of"}',
    personal_data => $json$
    {
        "products": {"user": ["created_by"], "impersonal": ["attributes", "category", "description", "kind", "name",
            "search_words", "sku", "status", "tax_class", "unit", "variant_of"]},
        "product_facets": {"impersonal": ["*"]},
        "product_prices": {"user": ["created_by"], "impersonal": ["currency", "location_id", "product_id"]},
        "tax_rates": {"user": ["created_by"], "impersonal": ["location_id", "tax_class"]},
        "stock_levels": {"impersonal": ["*"]},
        "stock_reservations": {"user": ["created_by"], "impersonal": ["location_id", "product_id", "reference_id",
            "reference_type", "status"]},
        "inventory_logs": {"user": ["actor_id"], "impersonal": ["id", "location_id", "movement", "product_id",
            "reason_code", "source_id", "source_type"]},
        "_inventory_dump": {"user": ["actor_id"], "impersonal": ["location_id", "movement", "product_id",
            "reason_code", "source_id", "source_type"]},
        "inventory_openings": {"impersonal": ["*"]},
        "stock_counts": {"user": ["started_by", "finished_by"], "impersonal": ["location_id", "status"]},
        "orders": {"user": ["created_by", "customer_id", "user_id"], "personal": ["notes", "ship_to"], "impersonal": [
            "currency", "location_id", "reason_code", "reference_id", "reference_type", "status"]},
        "order_lines": {"impersonal": ["*"]},
        "order_discounts": {"impersonal": ["*"]},
        "order_events": {"user": ["actor_id"], "personal": ["payload"], "impersonal": ["event", "from_status",
            "order_id", "reason_code", "to_status"]},
        "service_materials": {"impersonal": ["*"]},
        "stock_count_lines": {"user": ["recorded_by"], "impersonal": ["count_id", "product_id"]}
    }$json$,
    settings => '[
        {"name": "shop.currency", "type": "text", "default_value": "EUR",
         "description": "Currency of prices where none is named."},
        {"name": "shop.payment_minutes", "type": "integer", "default_value": "60",
         "description": "Minutes in which a placed order has to be paid before it is cancelled."},
        {"name": "shop.log_retention", "type": "integer", "default_value": "730",
         "description": "Days that movements of stock are kept before they become an opening balance; 0: for ever."}]',
    role_presets => $json$
    {
        "shop": {
            "permissions": {"product:manage": "Change products, prices and taxes", "stock:read": "See stock",
                "stock:reserve": "Reserve and release stock", "stock:manage": "Receive, move, count and send stock",
                "order:read": "See orders", "order:manage": "Make, place and cancel orders of others",
                "order:fulfil": "Send what was ordered, and take it back", "order:discount": "Give discounts"},
            "roles": {
                "shop_clerk": {"description": "Sells at a location", "manages": [], "permissions": [
                    "stock:read", "stock:reserve", "order:read", "order:manage", "order:fulfil"]},
                "stock_keeper": {"description": "Keeps the stock of a location", "manages": [], "permissions": [
                    "stock:read", "stock:reserve", "stock:manage", "order:read", "order:fulfil"]},
                "shop_manager": {"description": "Answers for products and stock", "manages": ["shop_clerk",
                    "stock_keeper"], "permissions": ["product:manage", "stock:read", "stock:reserve", "stock:manage",
                    "order:read", "order:manage", "order:fulfil", "order:discount"]}
            }
        },
        "carwash": {
            "permissions": {"product:manage": "Change products, prices and taxes", "stock:read": "See stock",
                "stock:reserve": "Reserve and release stock", "stock:manage": "Receive, move, count and send stock",
                "order:read": "See orders", "order:manage": "Make, place and cancel orders of others",
                "order:fulfil": "Send what was ordered, and take it back", "order:discount": "Give discounts"},
            "roles": {
                "admin": {"description": "Full system access, user management, system configuration",
                    "manages": ["*"], "permissions": ["*:*"]},
                "manager": {"description": "Operations, staff management, reporting",
                    "manages": ["washer", "client"], "permissions": ["product:manage", "stock:read", "stock:reserve",
                    "stock:manage", "order:read", "order:manage", "order:fulfil", "order:discount"]}
            }
        },
        "clinic": {
            "permissions": {"product:manage": "Change products, prices and taxes", "stock:read": "See stock",
                "stock:reserve": "Reserve and release stock", "stock:manage": "Receive, move, count and send stock",
                "order:read": "See orders", "order:manage": "Make, place and cancel orders of others",
                "order:fulfil": "Send what was ordered, and take it back", "order:discount": "Give discounts"},
            "roles": {
                "admin": {"description": "Full system access", "manages": ["*"], "permissions": ["*:*"]},
                "manager": {"description": "Runs the clinic and its staff", "manages": ["staff", "customer"],
                    "permissions": ["product:manage", "stock:read", "stock:reserve", "stock:manage", "order:read",
                    "order:manage", "order:fulfil", "order:discount"]},
                "staff": {"description": "Practitioners and reception", "manages": [], "permissions": [
                    "stock:read", "stock:reserve", "order:read", "order:manage", "order:fulfil"]}
            }
        }
    }$json$,
    publishes => '{product.created,product.activated,product.archived,stock.low,stock.out,stock.short,order.placing,
        order.placed,order.paid,order.fulfilled,order.recalled,order.completed,order.returned,order.cancelled,
        order.abandoned,order.total_changed,order.refund_proposed}',
    access => (SELECT jsonb_agg(jsonb_build_object('kind', a.kind, 'levels', a.levels::text[], 'names', a.names)
                                    ORDER BY a.number) FROM (
        SELECT row_number() OVER () AS number, v.* FROM (VALUES
        -- Each function checks the identity itself.
        ('function', '{application,gateway,admin}',
         'create_product update_product set_product_status set_price remove_future_price list_prices set_tax_rate
          list_tax_rates get_product search_products receive_stock adjust_stock transfer_stock set_stock_limits
          reserve_stock commit_stock release_stock return_stock recall_stock expire_reservations start_stock_count
          record_count finish_stock_count cancel_stock_count get_stock_level list_availability list_inventory_log
          create_order set_order_line discount_order_line preview_order place_order fulfil_order recall_order
          cancel_order
          return_order complete_order record_order_payment add_order_event get_order list_orders list_order_events
          set_service_materials'),
        -- For the row-level security policies.
        ('function', '{application,gateway,admin}', '_shop_reads_all'),
        -- Rows by row-level security.
        ('table', '{application,gateway,admin}', 'products active_products stock_levels orders'),
        ('table', '{auditor,admin}', 'product_prices product_facets tax_rates stock_reservations inventory_logs
          inventory_openings
          stock_counts stock_count_lines order_lines order_discounts order_events
          service_materials'))
            AS v (kind, levels, names)) AS a));
