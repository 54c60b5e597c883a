"""`tf.image`: sizes, places and colours of images, on the device."""

from jslim.compat.tf import _missing
from jslim.compat.tf._boxes import crop_and_resize as crop_and_resize
from jslim.compat.tf._boxes import non_max_suppression as non_max_suppression
from jslim.compat.tf._image_files import decode_image as decode_image
from jslim.compat.tf._image_files import decode_jpeg as decode_jpeg
from jslim.compat.tf._image_files import decode_png as decode_png
from jslim.compat.tf._pixels import adjust_brightness as adjust_brightness
from jslim.compat.tf._pixels import adjust_contrast as adjust_contrast
from jslim.compat.tf._pixels import adjust_gamma as adjust_gamma
from jslim.compat.tf._pixels import adjust_hue as adjust_hue
from jslim.compat.tf._pixels import adjust_saturation as adjust_saturation
from jslim.compat.tf._pixels import central_crop as central_crop
from jslim.compat.tf._pixels import convert_image_dtype as convert_image_dtype
from jslim.compat.tf._pixels import crop_to_bounding_box as crop_to_bounding_box
from jslim.compat.tf._pixels import flip_left_right as flip_left_right
from jslim.compat.tf._pixels import flip_up_down as flip_up_down
from jslim.compat.tf._pixels import grayscale_to_rgb as grayscale_to_rgb
from jslim.compat.tf._pixels import hsv_to_rgb as hsv_to_rgb
from jslim.compat.tf._pixels import pad_to_bounding_box as pad_to_bounding_box
from jslim.compat.tf._pixels import per_image_standardization as per_image_standardization
from jslim.compat.tf._pixels import random_brightness as random_brightness
from jslim.compat.tf._pixels import random_contrast as random_contrast
from jslim.compat.tf._pixels import random_flip_left_right as random_flip_left_right
from jslim.compat.tf._pixels import random_flip_up_down as random_flip_up_down
from jslim.compat.tf._pixels import random_hue as random_hue
from jslim.compat.tf._pixels import random_saturation as random_saturation
from jslim.compat.tf._pixels import resize_image_with_crop_or_pad as resize_image_with_crop_or_pad
from jslim.compat.tf._pixels import resize_with_crop_or_pad as resize_with_crop_or_pad
from jslim.compat.tf._pixels import rgb_to_grayscale as rgb_to_grayscale
from jslim.compat.tf._pixels import rgb_to_hsv as rgb_to_hsv
from jslim.compat.tf._pixels import rot90 as rot90
from jslim.compat.tf._pixels import total_variation as total_variation
from jslim.compat.tf._pixels import transpose_image as transpose_image
from jslim.compat.tf._places import extract_image_patches as extract_image_patches
from jslim.compat.tf._resizing import ResizeMethod as ResizeMethod
from jslim.compat.tf._resizing import resize as resize
from jslim.compat.tf._resizing import resize_area as resize_area
from jslim.compat.tf._resizing import resize_bicubic as resize_bicubic
from jslim.compat.tf._resizing import resize_bilinear as resize_bilinear
from jslim.compat.tf._resizing import resize_images as resize_images
from jslim.compat.tf._resizing import resize_nearest_neighbor as resize_nearest_neighbor

per_image_whitening = per_image_standardization  # its name before TensorFlow 1.0

__getattr__ = _missing.answering("tf.image", __name__)
