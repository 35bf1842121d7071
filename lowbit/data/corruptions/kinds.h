// kinds.h: the rows' functions, by family. Private to the room.
#pragma once

#include "lowbit/data/corruptions/corruption.h"

namespace lowbit::corruptions {

// noise.cpp
void gaussian_noise(Picture<float>& picture, int strength, Random& random);
void shot_noise(Picture<float>& picture, int strength, Random& random);
void impulse_noise(Picture<float>& picture, int strength, Random& random);
// blur.cpp
void defocus_blur(Picture<float>& picture, int strength, Random& random);
void motion_blur(Picture<float>& picture, int strength, Random& random);
void zoom_blur(Picture<float>& picture, int strength, Random& random);
void gaussian_blur(Picture<float>& picture, int strength, Random& random);
// weather.cpp
void fog(Picture<float>& picture, int strength, Random& random);
void spatter(Picture<float>& picture, int strength, Random& random);
// light.cpp
void brightness(Picture<float>& picture, int strength, Random& random);
void contrast(Picture<float>& picture, int strength, Random& random);
void saturate(Picture<float>& picture, int strength, Random& random);
// digital.cpp
void elastic(Picture<float>& picture, int strength, Random& random);
void pixelate(Picture<float>& picture, int strength, Random& random);
// jpeg.cpp
void jpeg(Picture<float>& picture, int strength, Random& random);
// signals.cpp
void sensor_noise(Signal signal, int strength, Random& random);
void gain(Signal signal, int strength, Random& random);
void offset(Signal signal, int strength, Random& random);
void drop_out(Signal signal, int strength, Random& random);
void time_shift(Signal signal, int strength, Random& random);
void spikes(Signal signal, int strength, Random& random);
void clipping(Signal signal, int strength, Random& random);
void drift(Signal signal, int strength, Random& random);

/// Gaussian filter of standard deviation `sigma` pixels, borders mirrored; below 0.05 nothing happens.
void smooth(Picture<float>& picture, double sigma);
/// The value at (x, y) between the pixels (bilinear), borders mirrored.
float sample(const Picture<float>& picture, double x, double y, int64_t channel);
/// One channel of smooth random numbers of mean 0 and standard deviation 1.
Picture<float> smooth_field(int64_t width, int64_t height, double sigma, Random& random);

}  // namespace lowbit::corruptions
